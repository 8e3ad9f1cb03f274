import { conflict } from '../../../shared/errors/index.ts'
import { SIGKILL, signalNumber } from '../config/signals.ts'
import { isAlive } from '../containers/container.ts'
import type { Engine } from '../engine.ts'
import { endRun, sendSignal } from './signal.ts'

/** Sends a signal; SIGKILL (the default) also waits for the end. @throws `conflict` when it does not run. */
export async function kill(engine: Engine, ref: string, signalText: string): Promise<void> {
  const signal = signalNumber(signalText === '' ? 'KILL' : signalText)
  const { id, state } = engine.containers.find(ref)
  const running = state.status === 'restarting' || isAlive(engine.containers.find(id))
  if (!running) throw conflict(`cannot kill container: ${ref}: Container ${id} is not running`)
  await engine.jobs.run({ name: 'kill', container: id, arguments: { signal } }, async (job) => {
    if (signal === SIGKILL) await endRun(engine, job, id, { signal, timeoutMs: 0 })
    else await job.step(`signal ${signal}`, () => sendSignal(engine, id, signal))
  })
}
