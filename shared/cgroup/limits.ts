import type { Resources } from '../contracts/index.ts'
import { invalid } from '../errors/index.ts'
import { cpuListProblem, parseCpuList } from './cpu-list.ts'
import type { Support } from './support.ts'

const MIN_MEMORY = 6 * 1024 * 1024
/** The kernel's PID_MAX_LIMIT. */
const MAX_PIDS = 4_194_304

interface Context {
  readonly r: Resources
  readonly s: Support
  readonly update: boolean
  readonly warn: (message: string) => void
  /** `major:minor`; throws when it is no block device. */
  readonly device: (path: string) => string
}

/**
 * Refuses impossible limits (`invalid`) and returns a warning for each that this kernel cannot keep. Wording and order are
 * Docker's (moby, daemon/daemon_unix.go, verifyPlatformContainerResources), which clients show and tests look for.
 */
export function checkLimits(
  resources: Resources,
  support: Support,
  options: { update: boolean; device: (path: string) => string },
): string[] {
  const warnings: string[] = []
  const context = { r: resources, s: support, ...options, warn: (message: string) => void warnings.push(message) }
  checkMemory(context)
  checkSwap(context)
  checkOomAndPids(context)
  checkCpu(context)
  checkRealtime(context)
  checkCpuset(context)
  checkBlkio(context)
  checkHugetlb(context)
  return warnings
}

function checkMemory({ r, s, warn }: Context): void {
  const memory = r.Memory ?? 0
  const reservation = r.MemoryReservation ?? 0
  if (memory !== 0 && memory < MIN_MEMORY) throw invalid('Minimum memory limit allowed is 6MB')
  if (memory > 0 && !s.memory) {
    warn('Your kernel does not support memory limit capabilities or the cgroup is not mounted. Limitation discarded.')
  }
  if (reservation > 0 && !s.reservation) {
    warn(
      'Your kernel does not support memory soft limit capabilities or the cgroup is not mounted. Limitation discarded.',
    )
  }
  if (reservation !== 0 && reservation < MIN_MEMORY) throw invalid('Minimum memory reservation allowed is 6MB')
  if (memory > 0 && reservation > 0 && memory < reservation) {
    throw invalid('Minimum memory limit can not be less than memory reservation limit, see usage')
  }
  if ((r.KernelMemoryTCP ?? 0) > 0 && !s.kernelMemoryTcp) {
    warn(
      'Your kernel does not support kernel memory TCP limit capabilities or the cgroup is not mounted. Limitation discarded.',
    )
  }
}

function checkSwap({ r, s, update, warn }: Context): void {
  const memory = r.Memory ?? 0
  const swap = r.MemorySwap ?? 0
  if (swap < -1) throw invalid(`Invalid value ${swap} for memory-swap: give bytes, or -1 for unlimited swap`)
  if (memory > 0 && swap !== -1 && !s.swap) {
    warn(
      'Your kernel does not support swap limit capabilities or the cgroup is not mounted. Memory limited without swap.',
    )
  }
  if (memory > 0 && swap > 0 && swap < memory) {
    throw invalid('Minimum memoryswap limit should be larger than memory limit, see usage')
  }
  if (memory === 0 && swap > 0 && !update) {
    throw invalid('You should always set the Memory limit when using Memoryswap limit, see usage')
  }
  const swappiness = r.MemorySwappiness ?? -1 // -1 is the CLI's "not given"
  if (swappiness === -1) return
  if (swappiness < 0 || swappiness > 100) {
    throw invalid(`Invalid value: ${swappiness}, valid memory swappiness range is 0-100`)
  }
  if (!s.swappiness) {
    warn(
      'Your kernel does not support memory swappiness capabilities or the cgroup is not mounted. Memory swappiness discarded.',
    )
  }
}

function checkOomAndPids({ r, s, update, warn }: Context): void {
  if (r.OomKillDisable === true) {
    if (!s.oomKillDisable) warn('Your kernel does not support OomKillDisable. OomKillDisable discarded.')
    else if ((r.Memory ?? 0) === 0 && !update) {
      warn(
        'OOM killer is disabled for the container, but no memory limit is set, this can result in the system running out of resources.',
      )
    }
  }
  const pids = r.PidsLimit ?? 0
  if (pids > 0 && !s.pids) {
    warn('Your kernel does not support PIDs limit capabilities or the cgroup is not mounted. PIDs limit discarded.')
  }
  if (pids > MAX_PIDS) throw invalid(`Invalid pids limit ${pids}: the largest is ${MAX_PIDS}, 0 or -1 is unlimited`)
}

function checkCpu({ r, s, warn }: Context): void {
  const nano = r.NanoCpus ?? 0
  const period = r.CpuPeriod ?? 0
  const quota = r.CpuQuota ?? 0
  const shares = r.CpuShares ?? 0
  if (nano > 0 && period > 0) throw invalid('Conflicting options: Nano CPUs and CPU Period cannot both be set')
  if (nano > 0 && quota > 0) throw invalid('Conflicting options: Nano CPUs and CPU Quota cannot both be set')
  if (nano > 0 && !s.cpuCfs) {
    throw invalid(
      'NanoCPUs can not be set, as your kernel does not support CPU CFS scheduler or the cgroup is not mounted',
    )
  }
  if (nano < 0 || nano > s.onlineCpus * 1e9) {
    throw invalid(`Range of CPUs is from 0.01 to ${s.onlineCpus}.00, as there are only ${s.onlineCpus} CPUs available`)
  }
  // A quota below 1 ms of a period of 100 ms is refused by the kernel.
  if (nano > 0 && nano < 1e7) throw invalid(`Range of CPUs is from 0.01 to ${s.onlineCpus}.00`)
  if (shares < 0) throw invalid(`invalid CPU shares (${shares}): value must be a positive integer`)
  if (shares === 1) throw invalid('the minimum allowed cpu-shares is 2')
  if (shares > 262_144) throw invalid('the maximum allowed cpu-shares is 262144')
  if (shares > 0 && !s.cpuShares) {
    warn('Your kernel does not support CPU shares or the cgroup is not mounted. Shares discarded.')
  }
  if ((period !== 0 || quota !== 0) && !s.cpuCfs) {
    warn('Your kernel does not support CPU CFS scheduler. CPU period/quota discarded.')
  }
  if (period !== 0 && (period < 1000 || period > 1_000_000)) {
    throw invalid('CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)')
  }
  if (quota > 0 && quota < 1000) throw invalid('CPU cfs quota can not be less than 1ms (i.e. 1000)')
}

function checkRealtime({ r, s }: Context): void {
  const period = r.CpuRealtimePeriod ?? 0
  const runtime = r.CpuRealtimeRuntime ?? 0
  if ((period !== 0 || runtime !== 0) && !s.cpuRealtime) {
    throw invalid(
      'Your kernel does not support CPU real-time scheduler: cpu-rt-period and cpu-rt-runtime can not be set',
    )
  }
  if (period < 0 || runtime < 0) throw invalid('cpu-rt-period and cpu-rt-runtime can not be negative')
  if (period !== 0 && runtime !== 0 && runtime > period) {
    throw invalid('cpu real-time runtime cannot be higher than cpu real-time period')
  }
}

function checkCpuset({ r, s, warn }: Context): void {
  const cpus = r.CpusetCpus ?? ''
  const mems = r.CpusetMems ?? ''
  if ((cpus !== '' || mems !== '') && !s.cpuset) {
    warn('Your kernel does not support cpuset or the cgroup is not mounted. Cpuset discarded.')
  }
  const checkList = (list: string, available: string, what: string, noun: string): void => {
    if (list === '') return
    const wanted = parseCpuList(list)
    if (!wanted) throw invalid(`Invalid value ${list} for cpuset ${what}: ${cpuListProblem(list)}`)
    const there = parseCpuList(available)
    if (!s.cpuset || !there) return
    if ([...wanted].some((n) => !there.has(n))) {
      throw invalid(`Requested ${noun} are not available - requested ${list}, available: ${available}`)
    }
  }
  checkList(cpus, s.cpus, 'cpus', 'CPUs')
  checkList(mems, s.mems, 'mems', 'memory nodes')
}

const THROTTLES = [
  ['BlkioDeviceReadBps', 'device-read-bps', 'BPS Block I/O read limit', 'Block I/O BPS read limit'],
  ['BlkioDeviceWriteBps', 'device-write-bps', 'BPS Block I/O write limit', 'Block I/O BPS write limit'],
  ['BlkioDeviceReadIOps', 'device-read-iops', 'IOPS Block read limit', 'Block I/O IOPS read limit'],
  ['BlkioDeviceWriteIOps', 'device-write-iops', 'IOPS Block write limit', 'Block I/O IOPS write limit'],
] as const

function checkBlkio(context: Context): void {
  const { r, s, warn } = context
  const weight = r.BlkioWeight ?? 0
  if (weight !== 0 && !s.blkioWeight) {
    warn('Your kernel does not support Block I/O weight or the cgroup is not mounted. Weight discarded.')
  }
  if (weight !== 0 && (weight < 10 || weight > 1000)) throw invalid('Range of blkio weight is from 10 to 1000')
  const weights = r.BlkioWeightDevice ?? []
  if (weights.length > 0 && !s.blkioWeightDevice) {
    warn('Your kernel does not support Block I/O weight_device or the cgroup is not mounted. Weight-device discarded.')
  }
  for (const { Path, Weight } of weights) {
    if (Weight !== 0 && (Weight < 10 || Weight > 1000)) {
      throw invalid(`invalid weight ${Weight} for device ${Path}: range of blkio weight is from 10 to 1000`)
    }
    checkDevice(context, 'blkio-weight-device', Path)
  }
  for (const [field, option, lacking, discarded] of THROTTLES) {
    const list = r[field] ?? []
    if (list.length > 0 && !s.blkioThrottle) {
      warn(`Your kernel does not support ${lacking} or the cgroup is not mounted. ${discarded} discarded.`)
    }
    for (const { Path, Rate } of list) {
      if (Rate < 0) throw invalid(`invalid rate ${Rate} for device ${Path}: --${option} takes a positive integer`)
      checkDevice(context, option, Path)
    }
  }
}

function checkDevice({ device }: Context, option: string, path: string): void {
  try {
    device(path)
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT'
    const reason = missing ? 'no such file or directory' : 'not a block device'
    throw invalid(`--${option}: stat ${path}: ${reason}`, { cause: error })
  }
}

function checkHugetlb({ r, s, warn }: Context): void {
  for (const { PageSize, Limit } of r.Hugetlb ?? []) {
    if (Limit < 0) throw invalid(`invalid hugetlb limit ${Limit} for page size ${PageSize}`)
    if (s.hugetlb.length === 0) {
      warn('Your kernel does not support hugetlb limit or the cgroup is not mounted. Limitation discarded.')
    } else if (!s.hugetlb.includes(PageSize)) {
      throw invalid(`invalid hugetlb page size ${PageSize}: this kernel has ${s.hugetlb.join(', ')}`)
    }
  }
}
