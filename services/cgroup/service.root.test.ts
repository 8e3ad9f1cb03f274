import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { CallInfo, GroupStats } from '../../shared/contracts/index.ts'
import { findHierarchies } from '../../shared/kernel/cgroup-hierarchies.ts'
import { RealCgroupFs } from '../../shared/kernel/cgroupfs.ts'
import { createLogger } from '../../shared/log/index.ts'
import type { ServiceContext } from '../../shared/service/module.ts'
import { Store } from '../../shared/store/index.ts'
import { limitV1, limitV2 } from '../../test/support/cgroup-limits.ts'
import { FakeBus } from '../../test/support/cgroup-service.ts'
import { RuncProcesses } from '../../test/support/runc-processes.ts'
import { service } from './main.ts'

/** The whole service on the real kernel, with real runc containers in its groups. */
describe('the cgroup service with runc', { skip: process.getuid?.() === 0 ? false : 'needs root' }, () => {
  const parent = `/gs${randomBytes(3).toString('hex')}`
  const dir = mkdtempSync(join(tmpdir(), 'cgroup-service-'))
  const log = createLogger('test', 'silent')
  const { v1, v2 } = findHierarchies(new RealCgroupFs(), '/sys/fs/cgroup')
  const isV1 = v1.has('memory')
  const roots = isV1 ? [...new Set([...v1.values(), ...(v2 === undefined ? [] : [v2])])] : [v2 ?? '']
  const runc = new RuncProcesses((path) => roots.map((r) => join(r, path)), dir, false)
  const call: CallInfo = { verb: '', job: undefined, traceparent: undefined }
  let bus: FakeBus
  let running: Awaited<ReturnType<typeof service.start>>

  const limit = (path: string, field: 'Memory' | 'PidsLimit' | 'CpuQuota' | 'CpusetCpus') =>
    isV1 ? limitV1((controller) => join(v1.get(controller) ?? '/', path), field) : limitV2(join(v2 ?? '/', path), field)
  const leftovers = (): string[] =>
    roots.flatMap((r) =>
      readdirSync(r)
        .filter((n) => n.startsWith(parent.slice(1)))
        .map((n) => join(r, n)),
    )

  async function start(): Promise<void> {
    const store = new Store(join(dir, 'cgroup.db'), service.migrations, 'local')
    running = await service.start({
      ...{ name: 'cgroup', log, store, stateDir: dir, runDir: dir },
      config: { cgroupParent: parent, defaultDrivers: { cgroup: isV1 ? 'cgroupfs-v1' : 'cgroupfs-v2' } },
      bus: bus as unknown,
      driverContext: () => ({ log, stateDir: dir, runDir: dir, engine: parent.slice(1) }),
    } as unknown as ServiceContext)
  }

  before(async () => {
    bus = new FakeBus()
    await start()
  })
  after(async () => {
    await runc.dispose()
    await running.handlers['group.reconcile']({ keep: [] }, call)
    await running.stop()
    rmSync(dir, { recursive: true })
    assert.deepEqual(leftovers(), [])
  })

  test('a container joins its group and keeps its limits; stats, pids, pause, update; nothing is left', async () => {
    const { handlers } = running
    const id = randomBytes(32).toString('hex')
    const resources = { Memory: 64 << 20, PidsLimit: 33, NanoCpus: 500_000_000, CpusetCpus: '0' }
    assert.deepEqual(await handlers['group.check']({ resources }, call), { warnings: [] })
    const group = await handlers['group.create']({ id, parent: '', resources }, call)
    const name = await runc.run(group.cgroupsPath, group.resources ?? {}, ['/bin/sleep', '1000'])

    const path = `${parent}/${id}`
    const set = (): unknown[] => (['Memory', 'PidsLimit', 'CpuQuota', 'CpusetCpus'] as const).map((f) => limit(path, f))
    assert.deepEqual(set(), [64 << 20, 33, 50_000, '0'], 'runc keeps what was set before it joined')
    const { pids } = await handlers['group.pids']({ id }, call)
    assert.equal(pids.length, 1)
    for (const root of roots) assert.ok(existsSync(join(root, path)), `the group is in ${root}`)

    const change = { Memory: 96 << 20, MemorySwap: 96 << 20, PidsLimit: 44 }
    await handlers['group.update']({ id, resources: change, change: 'a' }, call)
    assert.deepEqual(set(), [96 << 20, 44, 50_000, '0'])
    await handlers['group.revert']({ id, change: 'a' }, call)
    assert.deepEqual(set(), [64 << 20, 33, 50_000, '0'])
    await handlers['group.update']({ id, resources: change, change: 'b' }, call)
    await handlers['group.freeze']({ id }, call)
    await handlers['group.thaw']({ id }, call)
    const sample = (await handlers['group.stats']({ ids: [id] }, call))[id]
    assert.equal(sample?.pids_stats.current, 1)
    assert.equal(sample?.memory_stats['limit'], 96 << 20)

    await runc.delete(name)
    assert.deepEqual(await handlers['group.delete']({ id }, call), { oomKilled: false })
    assert.deepEqual(leftovers(), [], 'the parent went with its last group')
  })

  test('samples are published once a second', async () => {
    const { handlers } = running
    const id = randomBytes(32).toString('hex')
    const group = await handlers['group.create']({ id, parent: '', resources: {} }, call)
    await runc.run(group.cgroupsPath, group.resources ?? {}, ['/bin/sleep', '1000'])
    const samples = (): GroupStats[] => bus.samples.filter((s) => s.id === id).map((s) => s.sample)
    const deadline = Date.now() + 5000
    while (samples().at(-1)?.pids_stats.current !== 1) {
      assert.ok(Date.now() < deadline, 'no sample within 5 s')
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    await handlers['group.delete']({ id }, call)
  })

  test('an OOM kill of another process than the first is told, once, and not lost by a restart', async () => {
    const id = randomBytes(32).toString('hex')
    const resources = { Memory: 20 << 20, MemorySwap: 20 << 20 }
    const group = await running.handlers['group.create']({ id, parent: '', resources }, call)
    const told = bus.fact()
    const script = 'tail /dev/zero; sleep 1000'
    await runc.run(group.cgroupsPath, group.resources ?? {}, ['/bin/sh', '-c', script])
    await told
    const facts = bus.facts.filter((f) => f.fact.id === id)
    assert.deepEqual(
      facts.map((f) => [f.name, f.fact.cgroup, f.fact.total]),
      [['cgroup.oom', `${parent}/${id}`, 1]],
    )
    assert.equal((await running.handlers['group.pids']({ id }, call)).pids.length > 0, true, 'the first process lives')
    await running.stop()
    await start()
    assert.equal(bus.facts.filter((f) => f.fact.id === id).length, 1)
    assert.deepEqual(await running.handlers['group.oom']({ id }, call), { oomKilled: true })
    assert.deepEqual(await running.handlers['group.delete']({ id }, call), { oomKilled: true })
    assert.deepEqual(await running.handlers['group.delete']({ id }, call), { oomKilled: true })
  })

  test('a parent of its own is made and removed', async () => {
    const id = randomBytes(32).toString('hex')
    const group = await running.handlers['group.create']({ id, parent: `${parent}-acc/deep`, resources: {} }, call)
    assert.equal(group.cgroupsPath, `${parent}-acc/deep/${id}`)
    assert.ok(leftovers().length > 0)
    await running.handlers['group.delete']({ id }, call)
    assert.deepEqual(leftovers(), [])
  })

  test('info names what /info shows', async () => {
    const info = await running.handlers.info({}, call)
    assert.equal(info.driver, 'cgroupfs')
    assert.equal(info.version, isV1 ? '1' : '2')
    assert.equal(info.limits['MemoryLimit'], true)
  })
})
