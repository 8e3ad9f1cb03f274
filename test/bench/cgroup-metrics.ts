import { spawn, type ChildProcess } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Bus } from '../../shared/bus/index.ts'
import { encodeSample } from '../../shared/bus/stats.ts'
import type { StatsSample } from '../../shared/contracts/index.ts'
import { type CgroupDriver, type CgroupDriverContext, DriverSet } from '../../shared/drivers/index.ts'
import { createLogger } from '../../shared/log/index.ts'
import { Store } from '../../shared/store/index.ts'
import { GroupKeeper } from '../../services/cgroup/groups.ts'
import { Metrics } from '../../services/cgroup/metrics.ts'
import { OomWatch } from '../../services/cgroup/oom.ts'
import { Groups, migrations } from '../../services/cgroup/store.ts'

/*
 * What the once-a-second pass costs, and how long a group takes to make and remove. Root.
 *   node --import tsx test/bench/cgroup-metrics.ts [groups]
 */
const count = Number(process.argv[2] ?? 200)
const dir = mkdtempSync(join(tmpdir(), 'bench-cgroup-'))
const log = createLogger('bench', 'warn')
let bytes = 0
const bus = {
  publishStats: (_: string, sample: StatsSample) => void (bytes += encodeSample(sample).length),
  tellFact: async () => undefined,
} as unknown as Bus
const parent = `/bench${process.pid}`
const drivers = await DriverSet.load<CgroupDriver, CgroupDriverContext>('cgroup', () => ({
  ...{ log, stateDir: dir, runDir: dir, engine: 'bench', root: '/sys/fs/cgroup', parent },
}))
const store = new Store(join(dir, 'db'), migrations, 'local')
const groups = new Groups(store)
const oom = new OomWatch(groups, bus, log)
const metrics = new Metrics(drivers, bus, oom, log)
const keeper = new GroupKeeper(groups, drivers, oom, metrics, log)
const ids = Array.from({ length: count }, (_, i) => i.toString(16).padStart(64, '0'))
const processes: ChildProcess[] = []
const median = (times: number[]): string => (times.sort((a, b) => a - b)[times.length >> 1] ?? 0).toFixed(2)

async function timed(work: (id: string) => Promise<unknown>): Promise<string> {
  const times: number[] = []
  for (const id of ids) {
    const start = performance.now()
    await work(id)
    times.push(performance.now() - start)
  }
  return median(times)
}

try {
  const resources = { Memory: 64 * 1024 * 1024, NanoCpus: 500_000_000, PidsLimit: 100, CpuShares: 512 }
  console.log(`group.create   ${await timed((id) => keeper.create(id, '', resources))} ms (median)`)
  const driver = drivers.default()
  for (const id of ids) {
    const path = driver.pathFor(id, '')
    const child = spawn('unshare', ['-n', 'sleep', '600'], { stdio: 'ignore' })
    processes.push(child)
    const roots =
      driver.manifest.name === 'cgroupfs-v2' ? [''] : ['memory', 'pids', 'cpu', 'cpuacct', 'blkio', 'devices']
    for (const root of roots) writeFileSync(join('/sys/fs/cgroup', root, path, 'cgroup.procs'), String(child.pid))
  }
  await new Promise((resolve) => setTimeout(resolve, 1000))
  for (let i = 0; i < 5; i++) await metrics.pass() // opens the files, warms up
  bytes = 0
  const [before, start] = [process.cpuUsage(), performance.now()]
  const passes = 20
  for (let i = 0; i < passes; i++) await metrics.pass()
  const used = process.cpuUsage(before)
  const ms = (used.user + used.system) / 1000 / passes
  console.log(
    `one pass       ${ms.toFixed(1)} ms of CPU with ${count} groups = ${(ms / 10).toFixed(2)} % of a core; ` +
      `${((performance.now() - start) / passes).toFixed(1)} ms; ${(bytes / passes / count).toFixed(0)} bytes a group`,
  )
} finally {
  for (const child of processes) child.kill('SIGKILL')
  console.log(`group.delete   ${await timed((id) => keeper.delete(id))} ms (median)`)
  await keeper.reconcile(new Set())
  metrics.stop()
  oom.stop()
  await drivers.close()
  rmSync(dir, { recursive: true })
}
