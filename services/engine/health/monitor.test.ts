import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { hear } from '../facts.ts'
import { pause, unpause } from '../jobs/pause.ts'
import { start } from '../jobs/start.ts'
import { World } from '../testing/world.ts'

const MS = 1_000_000

describe('health checks', () => {
  let world: World
  beforeEach(async () => {
    world = new World()
    await world.boot()
  })
  afterEach(() => world.close())
  const health = (id: string) => world.engine.containers.get(id)?.state.health
  const create = (check: Record<string, unknown>) =>
    world.create('', { Healthcheck: { Test: ['CMD', 'check'], Interval: 20 * MS, Timeout: 100 * MS, ...check } })
  const until = async (what: string, condition: () => boolean) => {
    for (const end = Date.now() + 5000; !condition(); await sleep(5))
      assert.ok(Date.now() < end, `${what} did not come`)
  }
  const probes = () => [...world.sessions].filter(([, session]) => session.running)
  /** The probe that runs next, or already does, ends. */
  const answer = async (container: string, exitCode: number) => {
    await until('a probe', () => probes().length > 0)
    const [id] = probes()[0]!
    world.sessions.set(id, { container, running: false, exitCode })
    await hear(world.engine, 'exec.session.exited', { id, container, exitCode })
  }

  it('the start period goes by the age of the container, not of the engine', async () => {
    const id = await create({ StartPeriod: 60_000 * MS, StartInterval: 20 * MS, Retries: 1 })
    await start(world.engine, id)
    const { state } = world.engine.containers.get(id)!
    const startedAt = new Date(Date.now() - 120_000).toISOString()
    world.engine.store.transaction(() => world.engine.containers.setState(id, { startedAt }))
    assert.equal(state.health?.Status, 'starting')
    await world.boot()
    await answer(id, 1)
    await until('the verdict', () => health(id)?.Log.length === 1)
    assert.equal(health(id)?.Status, 'unhealthy')
  })

  it('pausing ends the checks as Docker does, and what is under way does not count', async () => {
    const id = await create({ Retries: 1 })
    await start(world.engine, id)
    await answer(id, 0)
    await until('the verdict', () => health(id)?.Status === 'healthy')
    await until('the next probe', () => probes().length > 0)
    await pause(world.engine, id)
    assert.deepEqual([health(id)?.Status, health(id)?.FailingStreak], ['unhealthy', 0])
    // Longer than the check's timeout.
    await sleep(150)
    assert.deepEqual([health(id)?.Log.length, health(id)?.FailingStreak], [1, 0])
    world.sessions.clear()
    await unpause(world.engine, id)
    await answer(id, 0)
    await until('the verdict', () => health(id)?.Status === 'healthy')
    await world.exit(id, 0)
    assert.equal(health(id)?.Status, 'unhealthy')
    assert.deepEqual(
      world.actions().filter((action) => action.startsWith('health')),
      ['health_status: healthy', 'health_status: healthy'],
    )
  })
})
