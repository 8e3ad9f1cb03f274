import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Resources } from '../../shared/contracts/index.ts'

/*
 * Reads limits back from a group's files in Docker's terms, for tests: on purpose not the drivers' own code.
 */

const UNLIMITED = 9_223_372_036_854_771_712

const text = (dir: string, file: string): string => readFileSync(join(dir, file), 'utf8').trim()
const number = (value: string): number | undefined =>
  value === 'max' || value === '-1' || Number(value) >= UNLIMITED ? undefined : Number(value)
const afterDevice = (lines: string): number | undefined => {
  const [, value] = lines.split('\n')[0]?.split(' ') ?? []
  return value === undefined ? undefined : Number(value)
}

/** The first device's, after the line for all. */
const deviceWeight = (lines: string): number | undefined => {
  const weight = /^\d+:\d+ (\d+)$/m.exec(lines)?.[1]
  return weight === undefined ? undefined : Number(weight)
}

/** `dirOf`: a group's directory in the hierarchy of a v1 controller. */
export function limitV1(
  dirOf: (controller: string) => string,
  field: keyof Resources,
): number | string | boolean | undefined {
  const memory = (file: string): number | undefined => number(text(dirOf('memory'), `memory.${file}`))
  const cpu = (file: string): number | undefined => number(text(dirOf('cpu'), `cpu.${file}`))
  const blkio = (file: string): number | undefined => afterDevice(text(dirOf('blkio'), `blkio.throttle.${file}_device`))
  switch (field) {
    case 'Memory':
      return memory('limit_in_bytes')
    case 'MemorySwap':
      return memory('memsw.limit_in_bytes')
    case 'MemoryReservation':
      return memory('soft_limit_in_bytes')
    case 'MemorySwappiness':
      return memory('swappiness')
    case 'KernelMemoryTCP':
      return memory('kmem.tcp.limit_in_bytes')
    case 'OomKillDisable':
      return text(dirOf('memory'), 'memory.oom_control').includes('oom_kill_disable 1')
    case 'CpuShares':
      return cpu('shares')
    case 'CpuPeriod':
      return cpu('cfs_period_us')
    case 'CpuQuota':
      return cpu('cfs_quota_us')
    case 'CpuRealtimePeriod':
      return cpu('rt_period_us')
    case 'CpuRealtimeRuntime':
      return cpu('rt_runtime_us')
    case 'CpusetCpus':
      return text(dirOf('cpuset'), 'cpuset.cpus')
    case 'CpusetMems':
      return text(dirOf('cpuset'), 'cpuset.mems')
    case 'PidsLimit':
      return number(text(dirOf('pids'), 'pids.max'))
    case 'BlkioWeight':
      return number(text(dirOf('blkio'), 'blkio.bfq.weight'))
    case 'BlkioWeightDevice': {
      const file = ['blkio.weight_device', 'blkio.bfq.weight_device'].find((f) => existsSync(join(dirOf('blkio'), f)))
      return file === undefined ? undefined : deviceWeight(text(dirOf('blkio'), file))
    }
    case 'BlkioDeviceReadBps':
      return blkio('read_bps')
    case 'BlkioDeviceWriteBps':
      return blkio('write_bps')
    case 'BlkioDeviceReadIOps':
      return blkio('read_iops')
    case 'BlkioDeviceWriteIOps':
      return blkio('write_iops')
    case 'Hugetlb': {
      // On a hybrid host the file comes with the first limit.
      const files = [join(dirOf('hugetlb'), 'hugetlb.2MB.limit_in_bytes'), join(dirOf('unified'), 'hugetlb.2MB.max')]
      const file = files.find((f) => existsSync(f))
      return file === undefined ? undefined : number(readFileSync(file, 'utf8').trim())
    }
    default:
      throw new Error(`no reader for ${field}`)
  }
}

/** `dir`: the group's directory in the v2 tree. */
export function limitV2(dir: string, field: keyof Resources): number | string | boolean | undefined {
  const io = (key: string): number | undefined => {
    const value = new RegExp(`${key}=(\\d+)`).exec(text(dir, 'io.max'))?.[1]
    return value === undefined ? undefined : Number(value)
  }
  const [quota, period] = existsSync(join(dir, 'cpu.max')) ? text(dir, 'cpu.max').split(' ') : []
  switch (field) {
    case 'Memory':
      return number(text(dir, 'memory.max'))
    case 'MemorySwap': {
      const swap = number(text(dir, 'memory.swap.max'))
      return swap === undefined ? undefined : swap + Number(text(dir, 'memory.max'))
    }
    case 'MemoryReservation':
      return number(text(dir, 'memory.low'))
    case 'CpuShares':
      // The conversion loses the low digits: the shares that the weight stands for, if they are those of the tests.
      return { 1: 2, 4: 100, 20: 512, 79: 2048 }[Number(text(dir, 'cpu.weight'))]
    case 'CpuPeriod':
      return Number(period)
    case 'CpuQuota':
      return number(quota ?? '')
    case 'CpusetCpus':
      return text(dir, 'cpuset.cpus')
    case 'CpusetMems':
      return text(dir, 'cpuset.mems')
    case 'PidsLimit':
      return number(text(dir, 'pids.max'))
    case 'BlkioWeight':
      if (existsSync(join(dir, 'io.bfq.weight'))) return Number(/default (\d+)/.exec(text(dir, 'io.bfq.weight'))?.[1])
      return { 2930: 300 }[Number(/default (\d+)/.exec(text(dir, 'io.weight'))?.[1])]
    case 'BlkioWeightDevice': {
      const file = existsSync(join(dir, 'io.bfq.weight')) ? 'io.bfq.weight' : 'io.weight'
      const weight = deviceWeight(text(dir, file))
      return file === 'io.weight' && weight !== undefined ? { 2930: 300 }[weight] : weight
    }
    case 'BlkioDeviceReadBps':
      return io('rbps')
    case 'BlkioDeviceWriteBps':
      return io('wbps')
    case 'BlkioDeviceReadIOps':
      return io('riops')
    case 'BlkioDeviceWriteIOps':
      return io('wiops')
    case 'Hugetlb':
      return number(text(dir, 'hugetlb.2MB.max'))
    default:
      throw new Error(`no reader for ${field}`)
  }
}
