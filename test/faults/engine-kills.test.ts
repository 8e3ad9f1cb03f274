import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { api, apiCall } from '../support/api.ts'
import { IMAGE } from '../support/busybox.ts'
import { startEngine, type TestEngine } from '../support/engine.ts'

/** A request, the containers that it is about, and the answer that Docker gives. */
interface Case {
  readonly name: string
  readonly method: 'POST' | 'DELETE'
  readonly path: (id: string) => string
  readonly body?: object
  readonly autoRemove?: boolean
  readonly running?: boolean
  /** What the path is about, when it is not the container itself. */
  readonly prepare?: (socket: string, container: string) => Promise<string>
  readonly status: number
}

const newExec = async (socket: string, container: string): Promise<string> =>
  (await api(socket, 'POST', `/containers/${container}/exec`, { Cmd: ['true'] })).json<{ Id: string }>().Id

const CASES: readonly Case[] = [
  { name: 'start', method: 'POST', path: (id) => `/containers/${id}/start`, status: 204 },
  {
    ...{ name: 'exec', method: 'POST', path: (id) => `/exec/${id}/start`, running: true, prepare: newExec },
    ...{ body: { Detach: true }, status: 200 },
  },
  {
    ...{ name: 'stop of one with AutoRemove', method: 'POST', path: (id) => `/containers/${id}/stop` },
    ...{ running: true, autoRemove: true, status: 204 },
  },
  { name: 'rm', method: 'DELETE', path: (id) => `/containers/${id}`, status: 204 },
  { name: 'rm -f', method: 'DELETE', path: (id) => `/containers/${id}?force=1`, running: true, status: 204 },
]

describe('the engine is killed in the middle of a request', () => {
  let engine: TestEngine
  before(async () => void (engine = await startEngine()))
  after(() => engine.stop())

  const create = (c: Partial<Case>) =>
    api(engine.socket, 'POST', '/containers/create', {
      ...{ Image: IMAGE, Cmd: ['sleep', '300'], StopSignal: 'SIGKILL' },
      HostConfig: { AutoRemove: c.autoRemove ?? false },
    })
  const prepare = async (c: Case): Promise<string> => {
    const { Id } = (await create(c)).json<{ Id: string }>()
    if (c.running) await api(engine.socket, 'POST', `/containers/${Id}/start`)
    return (await c.prepare?.(engine.socket, Id)) ?? Id
  }
  /** Half of the time that the work takes when nothing happens. */
  const half = async (work: () => Promise<unknown>): Promise<number> => {
    const begin = performance.now()
    await work()
    return (performance.now() - begin) / 2
  }
  /** The answer to a request in whose middle the engine was killed. */
  const killedAfter = async <T>(ms: number, work: () => Promise<T>): Promise<T> => {
    const target = await engine.pidOf('engine')
    const answer = work()
    await sleep(ms)
    process.kill(target, 'SIGKILL')
    return answer
  }

  test('create: there is one container', async () => {
    const before = (await api(engine.socket, 'GET', '/containers/json?all=1')).json<unknown[]>().length
    const ms = await half(() => create({}))
    await killedAfter(ms, () => create({}))
    const now = (await api(engine.socket, 'GET', '/containers/json?all=1')).json<unknown[]>().length
    assert.equal(now, before + 2)
  })

  for (const c of CASES) {
    test(`${c.name}: the client gets the one answer`, async () => {
      const [first, second] = [await prepare(c), await prepare(c)]
      const send = (id: string) => apiCall(engine.socket, c.method, c.path(id), c.body)
      const ms = await half(() => send(first))
      const reply = await killedAfter(ms, () => send(second))
      assert.equal(reply.status, c.status, reply.text())
    })
  }

  test('nothing is left in the kernel', async () => {
    await engine.removeContainers()
    assert.deepEqual(await engine.leaks(), [])
  })
})
