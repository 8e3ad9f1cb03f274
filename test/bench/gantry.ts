import { importBusybox } from '../support/busybox.ts'
import { startEngine } from '../support/engine.ts'
import { engineProcesses } from '../support/leaks.ts'
import { BENCH_IMAGE, type Subject } from './subject.ts'

/** Gantry in temporary folders, in one process or in six. */
export async function startGantry(singleProcess: boolean): Promise<Subject> {
  const engine = await startEngine({ singleProcess })
  await importBusybox(engine.socket, BENCH_IMAGE)
  return {
    name: singleProcess ? 'gantry-single' : 'gantry',
    socket: engine.socket,
    reference: false,
    docker: (...args) => engine.docker(args, { timeoutMs: 120_000 }),
    async processes() {
      const { supervisor, services } = await engine.status()
      const pids = [supervisor, ...services.map((service) => service.pid)].filter((pid) => pid !== null)
      return [...new Set([...pids, ...engineProcesses(engine.scope).map(({ pid }) => pid)])]
    },
    stop: () => engine.stop(),
  }
}
