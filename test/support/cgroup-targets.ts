import { randomBytes } from 'node:crypto'
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import systemd from '../../plugins/cgroup/systemd/index.ts'
import { SystemdDriver } from '../../plugins/cgroup/systemd/driver.ts'
import type { CgroupDriver, CgroupDriverContext, CgroupDriverModule } from '../../shared/drivers/index.ts'
import { findHierarchies } from '../../shared/kernel/cgroup-hierarchies.ts'
import { RealCgroupFs } from '../../shared/kernel/cgroupfs.ts'
import { createLogger } from '../../shared/log/index.ts'
import type { CgroupTarget } from '../conformance/cgroup.ts'
import { limitV1, limitV2 } from './cgroup-limits.ts'
import { RealProcesses, RecordedProcesses } from './cgroup-processes.ts'
import { type HostKind, RecordedCgroups } from './recorded-cgroups.ts'
import { RecordedSystemd } from './recorded-systemd.ts'
import { RuncProcesses } from './runc-processes.ts'

type Limit = ReturnType<CgroupTarget['limit']>

function contextOf(dir: string, parent: string, root: string): CgroupDriverContext {
  const log = createLogger('test', 'silent')
  return { log, stateDir: dir, runDir: dir, engine: parent.slice(1), parent, root }
}

/** A recorded host: no root, no kernel. */
export async function recorded(module: CgroupDriverModule, kind: HostKind): Promise<CgroupTarget> {
  return recordedTarget(kind, (context) => module.create(context))
}

/** The systemd driver with a recorded systemd on a recorded v2 host. */
export async function recordedSystemd(): Promise<CgroupTarget> {
  const dir = mkdtempSync(join(tmpdir(), 'recorded-systemd-'))
  let host: RecordedSystemd | undefined
  const target = recordedTarget('v2', (context, fs) => {
    host ??= new RecordedSystemd(fs, dir)
    return new SystemdDriver(context, host)
  })
  return {
    ...target,
    leftovers: async () => [...(await target.leftovers()), ...(host?.units() ?? [])],
    dispose: async () => {
      await target.dispose()
      rmSync(dir, { recursive: true })
    },
  }
}

function recordedTarget(
  kind: HostKind,
  create: (context: CgroupDriverContext & { fs: RecordedCgroups }, fs: RecordedCgroups) => CgroupDriver,
): CgroupTarget {
  const fs = new RecordedCgroups(kind)
  const parent = '/recorded'
  const at = (path: string) => (controller: string) => join(fs.root, controller.replace('name=', ''), path)
  return {
    parent,
    driver: () => create({ ...contextOf(fs.root, parent, fs.root), fs }, fs),
    processes: new RecordedProcesses(fs),
    limit: (path, field) => (kind === 'v2' ? limitV2(join(fs.root, path), field) : limitV1(at(path), field)) as Limit,
    leftovers: async () => {
      const roots = kind === 'v2' ? [fs.root] : fs.children(fs.root).map((name) => join(fs.root, name))
      return roots.flatMap((root) => fs.children(root).map((name) => join(root, name)))
    },
    blockDevice: '/dev/vda',
    dispose: async () => fs.dispose(),
  }
}

/** This machine, as root. */
export async function real(module: CgroupDriverModule): Promise<CgroupTarget | string> {
  if (process.getuid?.() !== 0) return 'needs root'
  const root = '/sys/fs/cgroup'
  const { v1, v2 } = findHierarchies(new RealCgroupFs(), root)
  const isSystemd = module === systemd
  const version = isSystemd ? (v1.has('memory') ? 1 : 2) : module.manifest.capabilities['version']
  if (version === 1 && v1.size === 0) return 'this host has no v1 hierarchies'
  if (version === 2 && v2 === undefined) return 'this host has no v2 tree'

  const parent = `/gt${randomBytes(3).toString('hex')}`
  const dir = mkdtempSync(join(tmpdir(), 'cgroup-conformance-'))
  const create = (): CgroupDriver => module.create(contextOf(dir, parent, root))
  if (isSystemd) {
    const driver = create()
    const probe = await driver.probe()
    await driver.close()
    if (!probe.usable) {
      rmSync(dir, { recursive: true })
      return probe.reason
    }
  }
  const roots = version === 2 ? [v2 ?? ''] : [...new Set([...v1.values(), ...(v2 === undefined ? [] : [v2])])]
  const at = (path: string) => (controller: string) =>
    join(controller === 'unified' ? (v2 ?? '') : (v1.get(controller) ?? '/nowhere'), path)
  const dirsOf = (path: string): string[] => roots.map((r) => join(r, path)).filter((d) => existsSync(d))
  const left = (): string[] =>
    roots.flatMap((r) =>
      readdirSync(r)
        .filter((n) => n.startsWith(parent.slice(1)))
        .map((n) => join(r, n)),
    )
  return {
    parent,
    driver: create,
    processes: isSystemd ? new RuncProcesses(dirsOf, dir, true) : new RealProcesses(dirsOf),
    limit: (path, field) => (version === 2 ? limitV2(join(v2 ?? '', path), field) : limitV1(at(path), field)) as Limit,
    leftovers: async () => {
      // systemd lets an unneeded slice go a moment later.
      for (let i = 0; isSystemd && left().length > 0 && i < 200; i++) await delay(10)
      return left()
    },
    blockDevice: ['/dev/vda', '/dev/sda', '/dev/nvme0n1'].find((path) => existsSync(path)),
    dispose: async () => rmSync(dir, { recursive: true }),
  }
}
