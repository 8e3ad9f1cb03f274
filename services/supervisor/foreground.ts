import { Supervisor, type SupervisorPlan } from './supervisor.ts'

/** Runs the supervisor in this process until SIGTERM or SIGINT, which end it and all that it runs. */
export function superviseHere(plan: SupervisorPlan): void {
  const supervisor = new Supervisor(plan)
  let stopping = false
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      if (stopping) return
      stopping = true
      void supervisor.stop().then(() => process.exit(0))
    })
  }
  supervisor.start()
}
