import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { after, before, describe, test } from 'node:test'
import { apiCall } from '../support/api.ts'
import { IMAGE } from '../support/busybox.ts'
import { startEngine, type TestEngine } from '../support/engine.ts'
import { until } from '../support/until.ts'

const BACK_MS = 20_000
/** When the service is killed, in milliseconds after the request: before, while and after the limits are set. */
const MOMENTS = [0, 3, 6, 10, 20]
const LIMITS = { Memory: 64 << 20, MemorySwap: 64 << 20, PidsLimit: 50, CpuShares: 200 }

/** kill -9 in the middle of an update: the limits of a container that had none are all there, or none is. */
describe('an update that is killed', () => {
  let engine: TestEngine
  before(async () => void (engine = await startEngine()))
  after(() => engine.stop())

  const ok = async (...args: string[]): Promise<string> => {
    const result = await engine.docker(args)
    assert.equal(result.code, 0, `docker ${args.join(' ')}: ${result.stdout}${result.stderr}`)
    return result.stdout.trim()
  }

  /** The first of the files that there is, below a process's groups (proc(5), /proc/pid/cgroup). */
  const limit = (pid: string, ...files: readonly (readonly [controller: string, name: string])[]): string => {
    const groups = readFileSync(`/proc/${pid}/cgroup`, 'utf8')
    for (const [controller, name] of files) {
      const path = new RegExp(`^\\d+:(?:\\S+,)?${controller}(?:,\\S+)?:(.*)$`, 'm').exec(groups)?.[1]
      const file = join('/sys/fs/cgroup', controller, path ?? '', name)
      if (path !== undefined && existsSync(file)) return readFileSync(file, 'utf8').trim()
    }
    return assert.fail(`no file for a limit of ${pid}: ${groups}`)
  }

  for (const service of ['cgroup', 'engine'] as const) {
    test(`with ${service}`, async () => {
      for (const moment of MOMENTS) {
        const id = await ok('run', '-d', '--name', `killed-${service}-${moment}`, IMAGE, 'sleep', '1000')
        const pid = await ok('inspect', '-f', '{{.State.Pid}}', id)
        const target = await engine.pidOf(service)
        const updating = apiCall(engine.socket, 'POST', `/containers/${id}/update`, LIMITS)
        await sleep(moment)
        process.kill(target, 'SIGKILL')
        const reply = await updating
        await until('recovery', BACK_MS, async () => {
          const { services } = await engine.status()
          return services.every(({ ready, pid }) => ready && pid !== target)
        })
        // Under the container's lock: what is under way has ended.
        await ok('rename', id, `updated-${service}-${moment}`)
        const shown = await ok('inspect', '-f', '{{.HostConfig.Memory}} {{.HostConfig.PidsLimit}}', id)
        const memory = limit(pid, ['memory', 'memory.limit_in_bytes'], ['', 'memory.max'])
        const pids = limit(pid, ['pids', 'pids.max'], ['', 'pids.max'])
        const shares = limit(pid, ['cpu', 'cpu.shares'], ['', 'cpu.weight'])
        const what = `killed after ${moment} ms: ${reply.status} ${reply.text()}; ${shown}; ${memory} ${pids} ${shares}`
        if (reply.status === 200) assert.equal(shown, `${LIMITS.Memory} ${LIMITS.PidsLimit}`, what)
        const isSet = shown.startsWith(String(LIMITS.Memory))
        assert.equal(memory === String(LIMITS.Memory), isSet, what)
        assert.equal(pids === String(LIMITS.PidsLimit), isSet, what)
        assert.equal(shares !== '1024' && shares !== '100', isSet, what)
        await ok('rm', '-f', id)
      }
    })
  }

  test('nothing is left in the kernel', async () => {
    await engine.removeContainers()
    assert.deepEqual(await engine.leaks(), [])
  })
})
