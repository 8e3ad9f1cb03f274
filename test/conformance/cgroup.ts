import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, describe, test, type TestContext } from 'node:test'
import type { Resources } from '../../shared/contracts/index.ts'
import type { CgroupDriver, DriverState, OomKills } from '../../shared/drivers/index.ts'
import { isKind } from '../../shared/errors/index.ts'
import { LIMITS, MiB, REFUSED, WARNED } from './cgroup-cases.ts'

/** Processes for a test to play with: real ones, or those of a recorded tree. */
export interface ProcessHost {
  /** A process in the group, which joins it as an OCI runtime lets a container's process join. */
  enter(path: string): Promise<number>
  /** Does the OCI runtime's part where the group is not premade: makes it with these limits and a first process. */
  launch?(driver: CgroupDriver, path: string, resources: Readonly<Record<string, unknown>>): Promise<void>
  alive(pid: number): boolean
  /** Makes a group below `path`, as a container can, with a process in it. */
  enterBelow(path: string, name: string): Promise<number>
  /** Lets a process of the group (not its first) use more memory than it may, until it is killed. */
  exhaustMemory(path: string): Promise<void>
  /** Sends a word to the process and says whether it answers within `ms`; undefined where processes are not real. */
  answers?(pid: number, ms: number): Promise<boolean>
  dispose(): Promise<void>
}

/** A driver under test. */
export interface CgroupTarget {
  /** A new instance, as after a restart of the service; all instances work below the same parent. */
  driver(): CgroupDriver
  /** The engine's own parent, unique to this run. */
  readonly parent: string
  readonly processes: ProcessHost
  /** What the kernel says of a group's limit, in Docker's units; undefined for none. */
  limit(path: string, field: keyof Resources): number | string | undefined
  /** Directories that are left anywhere below the parents of this run. */
  leftovers(): Promise<string[]>
  /** A path of a block device to throttle; undefined skips those tests. */
  readonly blockDevice: string | undefined
  dispose(): Promise<void>
}

/** The suite that every cgroup driver must pass. `start` answers a reason instead of a target where it cannot run. */
export async function cgroupSuite(name: string, start: () => Promise<CgroupTarget | string>): Promise<void> {
  const title = `cgroup driver: ${name}`
  const target = await start()
  if (typeof target === 'string') {
    test(title, { skip: target }, () => undefined)
    return
  }
  const driver = target.driver()

  describe(title, () => {
    const id = (): string => randomBytes(32).toString('hex')

    before(async () => void (await driver.probe()))

    after(async () => {
      await target.processes.dispose()
      await driver.close()
      await target.dispose()
    })

    interface Group {
      readonly path: string
      readonly id: string
    }

    /** One test on a group of its own; `needs`: capabilities without which it is skipped, saying so. */
    const check = (
      title: string,
      needs: readonly string[],
      body: (group: Group, t: TestContext) => Promise<void>,
      resources: Resources = {},
    ): void => {
      test(title, async (t) => {
        const lacking = needs.filter((n) => driver.manifest.capabilities[n] !== true)
        if (lacking.length > 0) return t.skip(`this kernel or driver has no ${lacking.join(', ')}`)
        const group = { id: id(), path: '' }
        group.path = driver.pathFor(group.id, '')
        const parents = driver.missingParents(group.path)
        try {
          await driver.create(group.path, resources)
          const runtime = driver.runtimeResources(resources)
          if (runtime !== undefined) await target.processes.launch?.(driver, group.path, runtime)
          await body(group, t)
        } finally {
          await driver.remove(group.path)
          await driver.removeParents(parents)
        }
        assert.deepEqual(await target.leftovers(), [], 'something was left behind')
      })
    }

    const failsWith = (kind: Parameters<typeof isKind>[1], pattern?: RegExp) => (error: unknown) =>
      isKind(error, kind) && (pattern === undefined || pattern.test(error.message))

    test('a probe answers with a rank or a reason, and leaves nothing', async () => {
      const probe = await driver.probe()
      if (!probe.usable) assert.match(probe.reason, /\w+ \w+/)
      assert.deepEqual(await target.leftovers(), [])
      const { capabilities } = driver.manifest
      assert.ok(capabilities['version'] === 1 || capabilities['version'] === 2)
      for (const key of [
        'premade',
        'memory',
        'swap',
        'pids',
        'cpu',
        'cpuset',
        'blkio',
        'hugetlb',
        'freezer',
        'systemd',
      ]) {
        assert.equal(typeof capabilities[key], 'boolean', key)
      }
    })

    check('a group exists from create to remove', [], async ({ path }) => {
      assert.equal(await driver.exists(path), true)
      assert.ok((await driver.list()).includes(path))
      await driver.remove(path)
      assert.equal(await driver.exists(path), false)
      assert.ok(!(await driver.list()).includes(path))
    })

    check('removing what is missing, and removing twice, is no error', [], async ({ path }) => {
      await driver.remove(path)
      await driver.remove(path)
      await driver.remove(driver.pathFor(id(), ''))
    })

    check(
      'creating again sets the limits again',
      ['pids'],
      async ({ path }) => {
        await driver.create(path, { PidsLimit: 20 })
        assert.equal(target.limit(path, 'PidsLimit'), 20)
      },
      { PidsLimit: 10 },
    )

    describe('limits are in the kernel', () => {
      for (const [title, needs, resources, expected = resources] of LIMITS) {
        check(
          title,
          needs,
          async ({ path }) => {
            for (const [field, value] of Object.entries(expected) as [keyof Resources, unknown][]) {
              const unlimited = Number(value) < 0
              const wanted = field === 'Hugetlb' ? 8 * MiB : unlimited ? undefined : value
              assert.deepEqual(target.limit(path, field), wanted, field)
            }
          },
          resources,
        )
      }

      check('throttles by device', ['blkio'], async ({ path }, t) => {
        const Path = target.blockDevice
        if (Path === undefined) return t.skip('this machine has no block device to limit')
        await driver.create(path, {
          BlkioDeviceReadBps: [{ Path, Rate: 2 * MiB }],
          BlkioDeviceWriteBps: [{ Path, Rate: MiB }],
          BlkioDeviceReadIOps: [{ Path, Rate: 200 }],
          BlkioDeviceWriteIOps: [{ Path, Rate: 100 }],
        })
        assert.equal(target.limit(path, 'BlkioDeviceReadBps'), 2 * MiB)
        assert.equal(target.limit(path, 'BlkioDeviceWriteBps'), MiB)
        assert.equal(target.limit(path, 'BlkioDeviceReadIOps'), 200)
        assert.equal(target.limit(path, 'BlkioDeviceWriteIOps'), 100)
        await driver.update(path, { BlkioDeviceReadBps: [], BlkioDeviceWriteIOps: [{ Path, Rate: 50 }] })
        assert.equal(target.limit(path, 'BlkioDeviceReadBps'), undefined, 'an empty list takes the limit away')
        assert.equal(target.limit(path, 'BlkioDeviceWriteIOps'), 50)
        assert.equal(target.limit(path, 'BlkioDeviceWriteBps'), MiB, 'a list that is not named stays')
      })

      check('weights by device', ['blkioWeightDevice'], async ({ path }, t) => {
        const Path = target.blockDevice
        if (Path === undefined) return t.skip('this machine has no block device to limit')
        try {
          await driver.update(path, { BlkioWeightDevice: [{ Path, Weight: 300 }] })
        } catch (error) {
          if (failsWith('invalid', /scheduler/)(error)) return t.skip(`the I/O scheduler of ${Path} has no weights`)
          throw error
        }
        assert.equal(target.limit(path, 'BlkioWeightDevice'), 300)
        await driver.update(path, { PidsLimit: 5 })
        assert.equal(target.limit(path, 'BlkioWeightDevice'), 300, 'a list that is not named stays')
        await driver.update(path, { BlkioWeightDevice: [] })
        assert.equal(target.limit(path, 'BlkioWeightDevice'), undefined, 'an empty list takes the weight away')
      })

      check('what the kernel refuses is refused by name, and no group is left', ['pids', 'premade'], async () => {
        const other = driver.pathFor(id(), '')
        await assert.rejects(
          driver.create(other, { PidsLimit: 5_000_000 }),
          failsWith('invalid', /pids-limit.*5000000/),
        )
        assert.equal(await driver.exists(other), false)
      })
    })

    describe('check', () => {
      for (const [title, needs, resources, message] of REFUSED) {
        check(`refuses: ${title}`, needs, async () => {
          assert.throws(() => driver.check(resources, false), failsWith('invalid', message))
        })
      }

      check('has no objection to good limits', [], async () => {
        assert.deepEqual(driver.check({}, false), [])
        assert.deepEqual(driver.check({ MemorySwappiness: -1, OomKillDisable: false, PidsLimit: null }, false), [])
      })

      for (const [capability, resources] of WARNED) {
        check(`without ${capability}: warns, and leaves it out`, [], async ({ path }, t) => {
          if (driver.manifest.capabilities[capability] === true) return t.skip(`this kernel has ${capability}`)
          const warnings = driver.check(resources, false)
          assert.equal(warnings.length, 1)
          assert.match(warnings[0] ?? '', /does not support.*discarded/)
          await driver.create(path, resources)
        })
      }
    })

    describe('parents', () => {
      check('a group goes below the parent that is asked for', ['premade'], async ({ id: group }) => {
        const parent = `${target.parent}-other/inner`
        const path = driver.pathFor(group, parent)
        const missing = driver.missingParents(path)
        assert.ok(missing.length >= 2)
        try {
          await driver.create(path, {})
          assert.equal(await driver.exists(path), true)
          assert.deepEqual(driver.missingParents(path), [], 'they are there now')
          assert.deepEqual(await driver.removeParents(missing), missing, 'they are in use')
        } finally {
          await driver.remove(path)
          assert.deepEqual(await driver.removeParents(missing), [])
        }
        assert.deepEqual(await driver.removeParents(missing), [], 'again')
      })

      check('one parent serves many groups', ['premade'], async () => {
        const paths = [id(), id()].map((group) => driver.pathFor(group, `${target.parent}-shared`))
        const missing = paths.flatMap((path) => driver.missingParents(path))
        await Promise.all(paths.map((path) => driver.create(path, {})))
        await driver.remove(paths[0] ?? '')
        assert.ok((await driver.removeParents(missing)).length > 0)
        assert.equal(await driver.exists(paths[1] ?? ''), true)
        await driver.remove(paths[1] ?? '')
        assert.deepEqual(await driver.removeParents(missing), [])
      })

      check('a parent that is a file is refused, and nothing is left to remove', ['premade'], async ({ id: group }) => {
        const path = driver.pathFor(group, '/cgroup.procs')
        await assert.rejects(driver.create(path, {}), failsWith('invalid', /cgroup-parent.*cgroup\.procs.*is a file/))
        assert.equal(await driver.exists(path), false)
        assert.equal((await driver.oomKills(path)).total, 0)
        await driver.remove(path)
      })

      check('refuses a parent that leaves the tree', [], async () => {
        for (const parent of ['../up', '/a/../../b', '/a\nb', `/${'é'.repeat(128)}`, '/long'.repeat(1000)]) {
          assert.throws(() => driver.pathFor(id(), parent), failsWith('invalid', /cgroup-parent/), parent)
        }
      })
    })

    describe('update', () => {
      check(
        'raises and lowers memory and swap in an order that the kernel takes',
        ['memory', 'swap'],
        async ({ path }) => {
          for (const [memory, swap] of [
            [64, 64],
            [128, 256],
            [32, 32],
            [32, 300],
            [300, 300],
            [16, 20],
          ] as const) {
            await driver.update(path, { Memory: memory * MiB, MemorySwap: swap * MiB })
            assert.equal(target.limit(path, 'Memory'), memory * MiB)
            assert.equal(target.limit(path, 'MemorySwap'), swap * MiB)
          }
          await driver.update(path, { Memory: 64 * MiB, MemorySwap: -1 })
          assert.equal(target.limit(path, 'MemorySwap'), undefined)
        },
      )

      check('quota, period, shares, pids', ['cpuCfs', 'cpu', 'pids'], async ({ path }) => {
        await driver.update(path, { CpuPeriod: 50_000, CpuQuota: 10_000, CpuShares: 2048, PidsLimit: 5 })
        await driver.update(path, { CpuPeriod: 200_000, CpuQuota: 150_000, CpuShares: 2, PidsLimit: 0 })
        assert.equal(target.limit(path, 'CpuPeriod'), 200_000)
        assert.equal(target.limit(path, 'CpuQuota'), 150_000)
        assert.equal(target.limit(path, 'CpuShares'), 2)
        assert.equal(target.limit(path, 'PidsLimit'), undefined)
        await driver.update(path, { CpuQuota: -1 })
        assert.equal(target.limit(path, 'CpuQuota'), undefined)
      })

      check(
        'is all or none',
        ['memory', 'pids'],
        async ({ path }) => {
          const bad: Resources = { Memory: 128 * MiB, MemorySwap: 128 * MiB, CpuShares: 100, PidsLimit: 5_000_000 }
          await assert.rejects(driver.update(path, bad), failsWith('invalid', /pids-limit/))
          assert.equal(target.limit(path, 'Memory'), 64 * MiB)
          assert.equal(target.limit(path, 'PidsLimit'), 7)
          if (driver.manifest.capabilities['swap'] === true) assert.equal(target.limit(path, 'MemorySwap'), 80 * MiB)
          if (driver.manifest.capabilities['cpu'] === true) assert.equal(target.limit(path, 'CpuShares'), 512)
        },
        { Memory: 64 * MiB, MemorySwap: 80 * MiB, CpuShares: 512, PidsLimit: 7 },
      )

      check('of a missing group is not-found', [], async () => {
        await assert.rejects(driver.update(driver.pathFor(id(), ''), { PidsLimit: 5 }), failsWith('not-found'))
        await assert.rejects(driver.save(driver.pathFor(id(), ''), { PidsLimit: 5 }), failsWith('not-found'))
      })

      for (const [title, needs, resources, expected = resources] of LIMITS) {
        check(`what was before is put back: ${title}`, needs, async ({ path }) => {
          const fields = Object.keys(expected) as (keyof Resources)[]
          const now = () => fields.map((field) => target.limit(path, field))
          const before = now()
          const saved = JSON.parse(JSON.stringify(await driver.save(path, resources))) as DriverState
          await driver.update(path, resources)
          await driver.restore(path, saved)
          assert.deepEqual(now(), before)
          await driver.restore(path, saved)
          assert.deepEqual(now(), before)
          await driver.remove(path)
          await driver.restore(path, saved)
        })
      }
    })

    describe('processes', () => {
      check('pids are those in it and below, ascending', [], async ({ path }) => {
        const first = await driver.pids(path)
        if (driver.manifest.capabilities['premade'] === true) assert.deepEqual(first, [])
        const pids = [...first, await target.processes.enter(path), await target.processes.enterBelow(path, 'sub')]
        assert.deepEqual(
          await driver.pids(path),
          pids.sort((a, b) => a - b),
        )
        assert.deepEqual(await driver.pids(driver.pathFor(id(), '')), [])
      })

      check('kill ends all of them, also below', [], async ({ path }) => {
        await target.processes.enter(path)
        await target.processes.enterBelow(path, 'sub')
        await driver.kill(path)
        await until(async () => (await driver.pids(path)).length === 0)
        await driver.kill(path)
        await driver.kill(driver.pathFor(id(), ''))
      })

      check('remove kills what is left, and groups below', [], async ({ path }) => {
        const pid = await target.processes.enter(path)
        await target.processes.enterBelow(path, 'sub')
        await driver.remove(path)
        await until(() => !target.processes.alive(pid))
        assert.equal(await driver.exists(path), false)
      })

      check('freeze stops them, thaw lets them go on', ['freezer'], async ({ path }) => {
        const pid = await target.processes.enter(path)
        const answers = target.processes.answers?.bind(target.processes)
        if (answers) assert.equal(await answers(pid, 5000), true)
        await driver.freeze(path)
        await driver.freeze(path)
        if (answers) assert.equal(await answers(pid, 60), false)
        await driver.thaw(path)
        await driver.thaw(path)
        if (answers) assert.equal(await answers(pid, 5000), true)
      })

      check('an empty group freezes at once', ['freezer', 'premade'], async ({ path }) => {
        await driver.freeze(path)
        await driver.thaw(path)
      })

      check('freezing a missing group is not-found', ['freezer'], async () => {
        await assert.rejects(driver.freeze(driver.pathFor(id(), '')), failsWith('not-found'))
        await assert.rejects(driver.thaw(driver.pathFor(id(), '')), failsWith('not-found'))
      })

      check('frozen processes are killed', ['freezer'], async ({ path }) => {
        const pid = await target.processes.enter(path)
        await driver.freeze(path)
        await driver.kill(path)
        await until(() => !target.processes.alive(pid))
      })

      check('a frozen group is removed', ['freezer'], async ({ path }) => {
        await target.processes.enter(path)
        await driver.freeze(path)
        await driver.remove(path)
        assert.equal(await driver.exists(path), false)
      })
    })

    describe('stats', () => {
      check(
        'have the form of the Docker API',
        ['memory', 'pids'],
        async ({ path }) => {
          await target.processes.enter(path)
          const samples = await driver.stats([path, driver.pathFor(id(), '')])
          assert.deepEqual([...samples.keys()], [path], 'a missing group is left out')
          const sample = samples.get(path)
          assert.ok(sample)
          assert.match(sample.read, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$/)
          assert.equal(sample.pids_stats.limit, 12)
          const { cpu_usage, system_cpu_usage, online_cpus, throttling_data } = sample.cpu_stats
          for (const key of ['total_usage', 'usage_in_kernelmode', 'usage_in_usermode']) {
            assert.equal(typeof (cpu_usage as Record<string, unknown>)[key], 'number', key)
          }
          for (const key of ['periods', 'throttled_periods', 'throttled_time']) {
            assert.equal(typeof (throttling_data as Record<string, unknown>)[key], 'number', key)
          }
          assert.ok(Number(system_cpu_usage) > 0)
          assert.ok(Number(online_cpus) >= 1)
          assert.equal(sample.memory_stats['limit'], 64 * MiB)
          assert.equal(typeof sample.memory_stats['usage'], 'number')
          assert.equal(typeof sample.memory_stats['stats'], 'object')
          assert.ok(Array.isArray(sample.blkio_stats['io_service_bytes_recursive']))
          assert.equal(sample.oom_kills, 0)
        },
        { Memory: 64 * MiB, PidsLimit: 12 },
      )

      check('without a memory limit show the memory of the machine', ['memory'], async ({ path }) => {
        const sample = (await driver.stats([path])).get(path)
        const limit = Number(sample?.memory_stats['limit'])
        assert.ok(limit > 16 * MiB && limit < 2 ** 50, String(limit))
        assert.equal(sample?.pids_stats.limit, undefined)
      })

      check('are those of the new group when a path is used again', ['memory', 'premade'], async ({ path }) => {
        await driver.stats([path])
        await driver.remove(path)
        assert.equal((await driver.stats([path])).size, 0)
        await driver.create(path, { Memory: 32 * MiB })
        assert.equal((await driver.stats([path])).get(path)?.memory_stats['limit'], 32 * MiB)
      })
    })

    describe('OOM', () => {
      check(
        'is told soon, counted, and seen by a driver that starts later',
        ['oomEvents', 'memory'],
        async ({ path }) => {
          await target.processes.enter(path)
          assert.equal((await driver.oomKills(path)).total, 0)
          const totals: number[] = []
          const told = new Promise<void>((resolve) => {
            const stop = driver.watchOom(path, ({ total }) => {
              totals.push(total)
              stop()
              resolve()
            })
          })
          await target.processes.exhaustMemory(path)
          await Promise.race([told, timeout(5000, 'nobody told of the OOM kill')])
          assert.ok((totals[0] ?? 0) >= 1)
          assert.ok((await driver.oomKills(path)).total >= 1)
          assert.ok(((await driver.stats([path])).get(path)?.oom_kills ?? 0) >= 1)
          const later = target.driver()
          await later.probe()
          assert.ok((await later.oomKills(path)).total >= 1)
          await later.close()
        },
        { Memory: 16 * MiB, MemorySwap: 16 * MiB },
      )

      check(
        'is counted in the group below that it was in',
        ['oomEvents', 'memory', 'premade'],
        async ({ path }) => {
          await target.processes.enterBelow(path, 'sub')
          const told = new Promise<OomKills>((resolve) => void driver.watchOom(path, resolve))
          await target.processes.exhaustMemory(`${path}/sub`)
          const kills = await Promise.race([told, timeout(5000, 'nobody told of the OOM kill')])
          const where = [...kills.groups].filter(([, count]) => count > 0).map(([group]) => group)
          // A v2 group without the memory controller has no count: the one above has.
          const below = driver.manifest.capabilities['version'] === 1
          assert.deepEqual(where, [below || where[0] !== path ? `${path}/sub` : path])
          assert.ok(((await driver.stats([path])).get(path)?.oom_kills ?? 0) >= 1)
        },
        { Memory: 16 * MiB, MemorySwap: 16 * MiB },
      )

      check('a watch that was stopped tells nothing, and removal is no OOM', ['oomEvents'], async ({ path }) => {
        let told = 0
        const stop = driver.watchOom(path, () => told++)
        await driver.remove(path)
        assert.equal((await driver.oomKills(path)).total, 0)
        stop()
        stop()
        assert.equal(told, 0)
      })
    })

    check('a driver that starts later takes over', ['freezer'], async ({ path }) => {
      await target.processes.enter(path)
      await driver.freeze(path)
      const later = target.driver()
      await later.probe()
      assert.ok((await later.list()).includes(path))
      await later.thaw(path)
      assert.deepEqual(await later.pids(path), await driver.pids(path))
      await later.remove(path)
      assert.equal(await driver.exists(path), false)
      await later.close()
    })
  })
}

/** Waits for what the kernel does a moment later, where it tells nobody. */
async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 5000
  while (!(await condition())) {
    if (Date.now() > deadline) assert.fail('did not become true within 5 s')
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}

const timeout = (ms: number, message: string): Promise<never> =>
  new Promise((_, reject) => void setTimeout(() => reject(new Error(message)), ms).unref())
