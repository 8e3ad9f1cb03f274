import { conflict } from '../../../shared/errors/index.ts'
import { SIGKILL, signalNumber } from '../config/signals.ts'
import { isAlive } from '../containers/container.ts'
import type { Engine } from '../engine.ts'
import type { JobRecord } from './runner.ts'
import { endRun, resumeEnding, runs, sendSignal, sentBy } from './signal.ts'

/** Sends a signal; SIGKILL (the default) also waits for the end. @throws `conflict` when it does not run. */
export async function kill(engine: Engine, ref: string, signalText: string): Promise<void> {
  const signal = signalNumber(signalText === '' ? 'KILL' : signalText)
  const { id, state } = engine.containers.find(ref)
  const running = state.status === 'restarting' || isAlive(engine.containers.find(id))
  if (!running) throw conflict(`cannot kill container: ${ref}: Container ${id} is not running`)
  await runKill(engine, id, signal)
}

async function runKill(engine: Engine, id: string, signal: number, resume?: JobRecord): Promise<void> {
  await engine.jobs.run({ name: 'kill', container: id, arguments: { signal }, resume }, async (job) => {
    if (signal === SIGKILL) await endRun(engine, job, id, { signal, timeoutMs: 0 })
    else await job.step(`signal ${signal}`, () => sendSignal(engine, id, signal, { job }))
  })
}

/** The engine died while it killed this container: it goes on, unless nothing was left to do. */
export async function recoverKill(engine: Engine, record: JobRecord): Promise<void> {
  const container = engine.containers.get(record.container)
  const signal = Number(record.arguments['signal'])
  const sent = signal !== SIGKILL && sentBy(record).includes(signal)
  if (!container || sent || !runs(container, record)) engine.jobs.close(record, 'done', '')
  else resumeEnding(engine, record, () => runKill(engine, container.id, signal, record))
}
