import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Support } from '../../../shared/cgroup/index.ts'
import { isKind } from '../../../shared/errors/index.ts'
import { createLogger } from '../../../shared/log/index.ts'
import { RecordedCgroups } from '../../../test/support/recorded-cgroups.ts'
import { launchRecorded } from '../../../test/support/recorded-runtime.ts'
import { RecordedSystemd } from '../../../test/support/recorded-systemd.ts'
import { SystemdDriver } from './driver.ts'
import { checkSlice, ownSlice, runtimeName, scopePath, slicePath } from './names.ts'
import { ociResources } from './oci.ts'
import { bitmap, perSecond, unitProperties } from './properties.ts'

const ID = 'ab'.repeat(32)

async function withDriver(
  body: (driver: SystemdDriver, systemd: RecordedSystemd, tree: RecordedCgroups) => Promise<void>,
) {
  const tree = new RecordedCgroups('v2')
  const dir = mkdtempSync(join(tmpdir(), 'systemd-test-'))
  const systemd = new RecordedSystemd(tree, dir)
  const log = createLogger('test', 'silent')
  const base = { log, stateDir: dir, runDir: dir, engine: 'gantry', parent: '/gantry' }
  const driver = new SystemdDriver({ ...base, root: tree.root, fs: tree }, systemd)
  try {
    await body(driver, systemd, tree)
  } finally {
    await driver.close()
    tree.dispose()
    rmSync(dir, { recursive: true })
  }
}

test('names of units and their places', () => {
  assert.equal(ownSlice('/gantry'), 'gantry.slice')
  assert.equal(ownSlice('/a/b'), 'a-b.slice')
  assert.equal(ownSlice('machine.slice'), 'machine.slice')
  assert.equal(slicePath('a-b-c.slice'), '/a.slice/a-b.slice/a-b-c.slice')
  const path = scopePath('a-b.slice', 'gantry', ID)
  assert.equal(path, `/a.slice/a-b.slice/gantry-${ID}.scope`)
  assert.equal(runtimeName(path, 'gantry'), `a-b.slice:gantry:${ID}`)
  for (const bad of [
    'acc-parent',
    '/a.slice',
    'a--b.slice',
    '-a.slice',
    'a-.slice',
    '.slice',
    'a b.slice',
    '../a.slice',
  ]) {
    assert.throws(
      () => checkSlice(bad),
      (e) => isKind(e, 'invalid') && /valid slice named as "xxx.slice"/.test(e.message),
      bad,
    )
  }
})

test('it says why it cannot run where systemd is not the init', async () => {
  await withDriver(async (driver, systemd) => {
    systemd.name = 'tini'
    const probe = await driver.probe()
    assert.ok(!probe.usable)
    assert.match(probe.reason, /systemd is not this machine's init \(pid 1 is tini\)/)
  })
})

test('an update is told to systemd, and put back there when the files refuse it', async () => {
  await withDriver(async (driver, systemd, tree) => {
    await driver.probe()
    const path = driver.pathFor(ID, '')
    const parents = driver.missingParents(path)
    await driver.create(path, { PidsLimit: 5 })
    assert.deepEqual(systemd.units(), ['gantry.slice'])
    launchRecorded(tree, path, driver.runtimeResources({ PidsLimit: 5 }))
    await driver.update(path, { PidsLimit: 7 })
    const tasks = (): unknown => systemd.properties.get(`gantry-${ID}.scope`)?.get('TasksMax')?.[2]
    assert.equal(tasks(), 7n)
    tree.failing.set('pids.max', 'EINVAL')
    await assert.rejects(driver.update(path, { PidsLimit: 9 }))
    assert.equal(tasks(), 7n)
    tree.failing.clear()
    assert.deepEqual(await driver.removeParents(parents), parents, 'in use')
    await driver.remove(path)
    assert.deepEqual(await driver.removeParents(parents), [])
    assert.deepEqual(systemd.units(), [])
  })
})

test('OOM kills are seen in a scope that comes after the watch', async () => {
  await withDriver(async (driver, _, tree) => {
    await driver.probe()
    const path = driver.pathFor(ID, '')
    const told = new Promise<number>((resolve) => {
      const stop = driver.watchOom(path, (kills) => {
        stop()
        resolve(kills.total)
      })
    })
    launchRecorded(tree, path, driver.runtimeResources({}))
    await new Promise((resolve) => setImmediate(resolve))
    tree.oomKill(path)
    assert.equal(await told, 1)
  })
})

const support = { cpuCfs: true, pids: true, memory: true, swap: true, reservation: true } as Support

test('unit properties', () => {
  assert.equal(perSecond(50_000, 100_000), 500_000n)
  assert.equal(perSecond(1000, 30_000), 40_000n, 'rounded up to 10 ms')
  assert.deepEqual([...bitmap('0-1,9')], [3, 2])
  const r = { Memory: 100, MemorySwap: -1, PidsLimit: -1, NanoCpus: 5e8, CpuShares: 512 }
  const infinity = 2n ** 64n - 1n
  assert.deepEqual(unitProperties(r, 2, support), [
    ['CPUQuotaPerSecUSec', 't', 500_000n],
    ['CPUQuotaPeriodUSec', 't', 100_000n],
    ['TasksMax', 't', infinity],
    ['MemoryMax', 't', 100n],
    ['MemorySwapMax', 't', infinity],
  ])
  assert.deepEqual(unitProperties({ Memory: 100, CpuShares: 512 }, 1, { ...support, cpuShares: true }), [
    ['MemoryLimit', 't', 100n],
    ['CPUShares', 't', 512n],
  ])
})

test('linux.resources for the runtime', () => {
  const all = {
    ...support,
    cpuShares: true,
    cpuset: true,
    blkioWeight: true,
    blkioThrottle: true,
    hugetlb: ['2MB'],
  } as Support
  const device = (): string => '254:16'
  assert.deepEqual(ociResources({}, all, device), { pids: { limit: -1 } })
  assert.deepEqual(
    ociResources(
      {
        Memory: 100,
        MemoryReservation: 50,
        CpuShares: 512,
        NanoCpus: 5e8,
        CpusetCpus: '0',
        PidsLimit: 5,
        BlkioWeight: 300,
        BlkioDeviceWriteBps: [{ Path: '/dev/vdb', Rate: 9 }],
        Hugetlb: [{ PageSize: '2MB', Limit: 4 }],
      },
      all,
      device,
    ),
    {
      memory: { limit: 100, reservation: 50, swap: 200 },
      cpu: { shares: 512, quota: 50_000, period: 100_000, cpus: '0' },
      pids: { limit: 5 },
      blockIO: { weight: 300, throttleWriteBpsDevice: [{ major: 254, minor: 16, rate: 9 }] },
      hugepageLimits: [{ pageSize: '2MB', limit: 4 }],
    },
  )
})
