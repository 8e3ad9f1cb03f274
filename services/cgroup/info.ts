import type { CgroupContract, ReplyOf } from '../../shared/contracts/index.ts'
import type { CgroupDriver } from '../../shared/drivers/index.ts'

/** Docker's /info fields and the capability behind each, with what it says when that is missing. */
const LIMITS = [
  ['MemoryLimit', 'memory', 'WARNING: No memory limit support'],
  ['SwapLimit', 'swap', 'WARNING: No swap limit support'],
  ['KernelMemoryTCP', 'kernelMemoryTcp', ''],
  ['OomKillDisable', 'oomKillDisable', ''],
  ['CpuCfsQuota', 'cpuCfs', 'WARNING: No cpu cfs quota support'],
  ['CpuCfsPeriod', 'cpuCfs', 'WARNING: No cpu cfs period support'],
  ['CPUShares', 'cpu', 'WARNING: No cpu shares support'],
  ['CPUSet', 'cpuset', 'WARNING: No cpuset support'],
  ['PidsLimit', 'pids', 'WARNING: No pids limit support'],
  ['BlkioWeight', 'blkioWeight', 'WARNING: No blkio weight support'],
  ['BlkioWeightDevice', 'blkioWeightDevice', 'WARNING: No blkio weight_device support'],
  ['BlkioThrottle', 'blkio', 'WARNING: No blkio throttle support'],
] as const

/** What /info shows of the driver in use; without one, Docker's `none`. */
export function describeInfo(driver: CgroupDriver | undefined): ReplyOf<CgroupContract['verbs']['info']> {
  const capabilities = driver?.manifest.capabilities ?? {}
  const has = (name: string): boolean => capabilities[name] === true
  return {
    driver: driver === undefined ? 'none' : capabilities['systemd'] === true ? 'systemd' : 'cgroupfs',
    version: String(capabilities['version'] ?? ''),
    limits: Object.fromEntries(LIMITS.map(([field, capability]) => [field, has(capability)])),
    warnings: LIMITS.filter(([, capability, warning]) => warning !== '' && !has(capability)).map(([, , w]) => w),
  }
}
