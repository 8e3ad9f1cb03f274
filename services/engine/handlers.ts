import { randomUUID } from 'node:crypto'
import type { EngineContract, Handlers } from '../../shared/contracts/index.ts'
import { isAlive } from './containers/container.ts'
import type { Engine } from './engine.ts'
import { attachExec, createExec, inspectExec, resizeExec, startExec } from './execs/sessions.ts'
import { connect, disconnect } from './jobs/connect.ts'
import { create } from './jobs/create.ts'
import { kill } from './jobs/kill.ts'
import { pause, unpause } from './jobs/pause.ts'
import { prune } from './jobs/prune.ts'
import { remove } from './jobs/remove.ts'
import { rename } from './jobs/rename.ts'
import { restart } from './jobs/restart.ts'
import { start } from './jobs/start.ts'
import { stop } from './jobs/stop.ts'
import { unlink } from './jobs/unlink.ts'
import { update } from './jobs/update.ts'
import { inspect } from './views/inspect.ts'
import { list } from './views/list.ts'
import { stats } from './views/stats.ts'
import { attach, logs, resize, top } from './views/streams.ts'
import { wait } from './views/wait.ts'

const done = async (work: Promise<void>): Promise<Record<string, never>> => {
  await work
  return {}
}

/** The engine's verbs. */
export function createHandlers(engine: Engine): Omit<Handlers<EngineContract>, 'health'> {
  /** A verb that changes something: done once for each request. */
  const once =
    <Request, Reply>(work: (request: Request) => Promise<Reply>) =>
    (request: Request): Promise<Reply> =>
      engine.requests.once(() => work(request))
  return {
    'container.create': once((r) => create(engine, r)),
    'container.start': once((r) => done(start(engine, r.ref))),
    'container.stop': once((r) => done(stop(engine, r))),
    'container.restart': once((r) => done(restart(engine, r))),
    'container.kill': once((r) => done(kill(engine, r.ref, r.signal))),
    'container.pause': once((r) => done(pause(engine, r.ref))),
    'container.unpause': once((r) => done(unpause(engine, r.ref))),
    'container.rename': once((r) => done(rename(engine, r.ref, r.name))),
    'container.update': once((r) => update(engine, r.ref, r.body)),
    'container.remove': once((r) => done(r.link ? unlink(engine, r.ref) : remove(engine, r))),
    'container.prune': once((r) => prune(engine, r.filters)),
    'container.list': (r) => list(engine, r),
    'container.inspect': (r) => inspect(engine, r.ref, r.size),
    'container.wait': (r) => wait(engine, r),
    'container.top': (r) => top(engine, r.ref, r.psArgs),
    'container.logs': (r) => logs(engine, r),
    'container.attach': (r) => attach(engine, r),
    'container.resize': (r) => done(resize(engine, r)),
    'container.stats': (r) => stats(engine, r.ref),
    'network.connect': once((r) => done(connect(engine, r))),
    'network.disconnect': once((r) => done(disconnect(engine, r))),
    'exec.create': once((r) => createExec(engine, r)),
    'exec.start': once((r) => startExec(engine, r)),
    'exec.attach': (r) => attachExec(engine, r.id, r.has),
    'exec.inspect': (r) => inspectExec(engine, r.id),
    'exec.resize': (r) => done(resizeExec(engine, r)),
    'job.list': async (r) => engine.jobs.list(r.last),
    info: async () => info(engine),
  }
}

function info(engine: Engine) {
  const all = engine.containers.all()
  const paused = all.filter((c) => c.state.status === 'paused').length
  const alive = all.filter(isAlive).length
  return { id: engineId(engine), containers: all.length, running: alive - paused, paused, stopped: all.length - alive }
}

/** Made once, kept for ever. */
function engineId(engine: Engine): string {
  const known = engine.store.meta('engine-id')
  if (known !== undefined) return known
  const id = randomUUID()
  engine.store.transaction(() => engine.store.setMeta('engine-id', id))
  return id
}
