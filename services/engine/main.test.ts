import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { createLogger } from '../../shared/log/index.ts'
import type { ServiceContext } from '../../shared/service/module.ts'
import { Store } from '../../shared/store/index.ts'
import { service } from './main.ts'
import { migrations } from './migrations.ts'
import { World } from './testing/world.ts'

const call = { verb: '', job: undefined, traceparent: undefined }

describe('the engine as a service', () => {
  let world: World
  let store: Store
  beforeEach(() => {
    world = new World()
    store = new Store(':memory:', migrations, 'test')
  })
  afterEach(async () => {
    store.close()
    await world.close()
  })

  it('starts, answers, hears facts, and drains', async () => {
    type Hear = (name: 'exec.process.exited', fact: unknown) => Promise<void>
    let hear: Hear = () => Promise.reject(new Error('nobody listens'))
    const running = await service.start({
      name: 'engine',
      config: { node: 'n', root: world.dir, run: world.dir, engine: 'g', socket: '', cgroupParent: '/g' },
      log: createLogger('engine', 'silent'),
      bus: {
        ...world.bus(),
        tellChange: () => undefined,
        onFacts: async (_durable: string, handle: Hear) => {
          hear = handle
          return { stop: async () => undefined }
        },
      },
      store,
    } as unknown as ServiceContext)
    const { handlers } = running
    const id = 'a'.repeat(64)
    await handlers['container.create']({ id, name: 'web', body: { Image: 'busybox' } }, call)
    await handlers['container.start']({ ref: 'web' }, call)
    assert.deepEqual(await handlers.info({}, call).then(({ running, containers }) => ({ running, containers })), {
      running: 1,
      containers: 1,
    })
    const { instance } = world.processes.get(id)!
    await hear('exec.process.exited', { id, instance, exitCode: 2, finishedAt: new Date().toISOString() })
    const { exitCode } = await handlers['container.wait']({ ref: 'web', condition: 'not-running' }, call)
    assert.equal(exitCode, 2)
    const waiting = handlers['container.wait']({ ref: 'web', condition: 'removed', ticket: `${id}.1` }, call)
    await running.stop()
    assert.equal((await waiting).done, false)
  })
})
