import { join } from 'node:path'
import type { RecordedCgroups } from './recorded-cgroups.ts'

interface Oci {
  readonly memory?: { limit?: number; swap?: number; reservation?: number }
  readonly cpu?: { shares?: number; quota?: number; period?: number; cpus?: string; mems?: string }
  readonly pids?: { limit: number }
  readonly blockIO?: { weight?: number }
  readonly hugepageLimits?: readonly { pageSize: string; limit: number }[]
}

/** What an OCI runtime does with linux.resources on a recorded tree: on purpose not the driver's code. */
export function launchRecorded(tree: RecordedCgroups, path: string, resources: Oci): void {
  if (tree.kind === 'v2') launchV2(tree, path, resources)
  else launchV1(tree, path, resources)
}

/** In a group of a v1 hierarchy that is already there. */
function launchV1(tree: RecordedCgroups, path: string, { memory }: Oci): void {
  const write = (file: string, value: number | undefined): void => {
    if (value !== undefined) tree.write(join(tree.root, 'memory', path, file), String(value))
  }
  write('memory.limit_in_bytes', memory?.limit)
  write('memory.memsw.limit_in_bytes', memory?.swap)
}

function launchV2(tree: RecordedCgroups, path: string, resources: Oci): void {
  const parts = path.split('/').filter((p) => p !== '')
  parts.forEach((_, i) => {
    const above = join(tree.root, ...parts.slice(0, i))
    tree.write(join(above, 'cgroup.subtree_control'), '+cpu +cpuset +io +memory +pids +hugetlb')
    tree.mkdir(join(above, parts[i] ?? ''))
  })
  const { memory, cpu, pids, blockIO, hugepageLimits } = resources
  const write = (file: string, value: string | number | undefined): void => {
    if (value !== undefined) tree.write(join(tree.root, path, file), String(value))
  }
  write('memory.max', memory?.limit)
  if (memory?.swap !== undefined)
    write('memory.swap.max', memory.swap === -1 ? 'max' : memory.swap - (memory.limit ?? 0))
  write('memory.low', memory?.reservation)
  if (cpu?.shares !== undefined) write('cpu.weight', 1 + Math.floor(((cpu.shares - 2) * 9999) / 262_142))
  if (cpu?.quota !== undefined) write('cpu.max', `${cpu.quota < 0 ? 'max' : cpu.quota} ${cpu.period ?? 100_000}`)
  write('cpuset.cpus', cpu?.cpus)
  write('cpuset.mems', cpu?.mems)
  if (pids) write('pids.max', pids.limit > 0 ? pids.limit : 'max')
  write('io.bfq.weight', blockIO?.weight)
  for (const { pageSize, limit } of hugepageLimits ?? []) write(`hugetlb.${pageSize}.max`, limit)
}
