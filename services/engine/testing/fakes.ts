import type {
  CgroupContract,
  ExecContract,
  Handlers,
  NetworkContract,
  Resources,
  SandboxInfo,
  SandboxRequest,
  StorageContract,
} from '../../../shared/contracts/index.ts'
import { checkLimits, mergeResources, NO_SUPPORT, type Support } from '../../../shared/cgroup/index.ts'
import { conflict, invalid, notFound } from '../../../shared/errors/index.ts'
import type { LowerService } from '../lower.ts'

interface FakeGroup {
  frozen: boolean
  oom: boolean
  limits: Resources
  changed?: { name: string; before: Resources }
}

export interface FakeProcess {
  instance: string
  pid: number
  status: 'running' | 'exited'
  startedAt: string
  exitCode?: number
  finishedAt?: string
}

const KERNEL: Support = {
  ...(Object.fromEntries(
    Object.entries(NO_SUPPORT).map(([k, v]) => [k, v === false ? true : v]),
  ) as unknown as Support),
  hugetlb: ['2MB'],
  cpus: '0-3',
  mems: '0',
  onlineCpus: 4,
}

/** The four lower services as small state machines in memory. Verbs are idempotent, as the real ones are. */
export abstract class FakeServices {
  readonly layers = new Map<string, { mounted: boolean }>()
  readonly sandboxes = new Map<string, SandboxRequest & { connected: string[] }>()
  readonly groups = new Map<string, FakeGroup>()
  readonly processes = new Map<string, FakeProcess>()
  readonly sessions = new Map<string, { container: string; running: boolean; exitCode?: number }>()
  readonly devices = new Set(['/dev/vda'])
  /** Signals that were delivered, as `signal key`. */
  readonly signals: string[] = []
  /** Signals that end a process; others are only recorded. */
  fatal = new Set([9, 15])
  images = new Map<string, Record<string, unknown>>([['busybox', { Cmd: ['sh'], Env: ['PATH=/bin'] }]])

  #pid = 100

  /** A container's process ends, and the fact of it arrives. */
  abstract exit(id: string, exitCode: number): Promise<void>

  services() {
    return { storage: this.#storage(), network: this.#network(), cgroup: this.#cgroup(), exec: this.#exec() }
  }

  #health(service: LowerService) {
    return async () => ({ service, pid: 1, version: '0', ready: true, uptime: 1, warnings: [], drivers: [] })
  }

  #storage(): Partial<Handlers<StorageContract>> {
    return {
      health: this.#health('storage'),
      'image.resolve': async ({ ref }) => {
        const config = this.images.get(ref)
        if (!config) throw notFound(`No such image: ${ref}`)
        return { id: `sha256:${ref}`, config, os: 'linux', architecture: 'amd64' }
      },
      'image.list': async () => [],
      'rootfs.create': async ({ id, mounts }) => {
        if (!this.layers.has(id)) this.layers.set(id, { mounted: false })
        const mountPoints = mounts.map((m) => ({
          Type: m.type,
          Name: m.type === 'volume' ? m.source || 'anonymous' : '',
          Source: m.source,
          Destination: m.target,
          Mode: m.mode ?? '',
          RW: !m.readOnly,
          Propagation: '',
        }))
        return { driver: 'fake', mountPoints, data: {} }
      },
      'rootfs.mount': async ({ id }) => {
        const layer = this.layers.get(id)
        if (!layer) throw notFound(`no layer ${id}`)
        layer.mounted = true
        return { path: `/rootfs/${id}`, mounts: [] }
      },
      'rootfs.unmount': async ({ id }) => {
        const layer = this.layers.get(id)
        if (layer) layer.mounted = false
        return {}
      },
      'rootfs.remove': async ({ id }) => {
        this.layers.delete(id)
        return {}
      },
      'rootfs.size': async () => ({ rw: 1, total: 2 }),
      'rootfs.reconcile': async ({ keep }) => ({ removed: sweep(this.layers, keep) }),
    }
  }

  #network(): Partial<Handlers<NetworkContract>> {
    return {
      health: this.#health('network'),
      'network.inspect': async ({ ref }) => {
        if (ref === 'nope') throw notFound(`network ${ref} not found`)
        return { Id: `id-of-${ref}`, Name: ref, Driver: ref === 'host' ? 'host' : 'bridge' }
      },
      'sandbox.create': async (request) => {
        const connected = request.endpoints.map((e) => e.network)
        if (connected.includes('nope')) throw notFound('network nope not found')
        if (!this.sandboxes.has(request.id)) this.sandboxes.set(request.id, { ...request, connected })
        return this.#sandbox(request.id)
      },
      'sandbox.inspect': async ({ id }) => this.#sandbox(id),
      'sandbox.delete': async ({ id }) => {
        this.sandboxes.delete(id)
        return {}
      },
      'sandbox.rename': async ({ id, name }) => {
        if (!this.sandboxes.has(id)) return {}
        const { endpoints, ...sandbox } = this.#sandbox(id)
        return { sandbox: { ...sandbox, endpoints: endpoints.map((e) => ({ ...e, dnsNames: [name] })) } }
      },
      'endpoint.check': async () => ({}),
      'sandbox.stats': async () => ({}),
      'sandbox.reconcile': async ({ keep }) => ({ removed: sweep(this.sandboxes, keep) }),
      'endpoint.connect': async ({ id, endpoint }) => {
        this.sandboxes.get(id)?.connected.push(endpoint.network)
        return this.#sandbox(id)
      },
      'endpoint.disconnect': async ({ id, network }) => {
        const sandbox = this.sandboxes.get(id)
        if (sandbox) sandbox.connected = sandbox.connected.filter((n) => n !== network && `id-of-${n}` !== network)
        return this.#sandbox(id)
      },
    }
  }

  #sandbox(id: string): SandboxInfo {
    const sandbox = this.sandboxes.get(id)
    if (!sandbox) throw notFound(`no sandbox ${id}`)
    return {
      id,
      netns: `/netns/${id}`,
      mounts: [],
      hostsPath: '/hosts',
      resolvConfPath: '/resolv.conf',
      hostnamePath: '/hostname',
      endpoints: sandbox.connected.map((network) => ({
        networkId: network,
        networkName: network,
        endpointId: 'ep',
        interface: 'eth0',
        mac: '02:42:ac:11:00:02',
        ipv4: '172.17.0.2',
        ipv4PrefixLength: 16,
        gateway4: '172.17.0.1',
        ipv6: '',
        ipv6PrefixLength: 0,
        gateway6: '',
        aliases: [],
        dnsNames: [],
      })),
      ports: sandbox.ports.map((p) => ({
        protocol: p.protocol,
        containerPort: p.containerPort,
        hostIp: p.hostIp || '0.0.0.0',
        hostPort: p.hostPort || 32768,
      })),
    }
  }

  #cgroup(): Partial<Handlers<CgroupContract>> {
    return {
      health: this.#health('cgroup'),
      info: async () => ({ driver: 'fake', version: '1', limits: {}, warnings: [] }),
      'group.check': async ({ resources, parent }) => {
        if (parent === '/bad') throw invalid(`invalid cgroup-parent "${parent}"`)
        return { warnings: this.#check(resources) }
      },
      'group.create': async ({ id, resources }) => {
        this.#check(resources)
        if (!this.groups.has(id)) this.groups.set(id, { frozen: false, oom: false, limits: resources })
        return { cgroupsPath: `/gtest/${id}`, driver: 'fake', systemd: false }
      },
      'group.delete': async ({ id }) => {
        const oomKilled = this.groups.get(id)?.oom ?? false
        this.groups.delete(id)
        return { oomKilled }
      },
      'group.update': async ({ id, resources, change }) => {
        const group = this.#group(id)
        const limits = mergeResources(group.limits, resources)
        this.#check(limits)
        if (group.changed?.name !== change) group.changed = { name: change, before: group.limits }
        group.limits = limits
        return {}
      },
      'group.revert': async ({ id, change }) => {
        const group = this.groups.get(id)
        if (group?.changed?.name !== change) return {}
        group.limits = group.changed.before
        delete group.changed
        return {}
      },
      'group.freeze': async ({ id }) => this.#freeze(id, true),
      'group.thaw': async ({ id }) => this.#freeze(id, false),
      'group.oom': async ({ id }) => ({ oomKilled: this.groups.get(id)?.oom ?? false }),
      'group.pids': async () => ({ pids: [1] }),
      'group.stats': async () => ({}),
      'group.reconcile': async ({ keep }) => ({ removed: sweep(this.groups, keep) }),
    }
  }

  #group(id: string) {
    const group = this.groups.get(id)
    if (!group) throw notFound(`no cgroup ${id}`)
    return group
  }

  /** As the cgroup service does, on a kernel that can do everything. */
  #check(limits: Resources): string[] {
    const device = (path: string): string => {
      if (!this.devices.has(path)) throw Object.assign(new Error(`no ${path}`), { code: 'ENOENT' })
      return '254:0'
    }
    return checkLimits(limits, KERNEL, { update: false, device })
  }

  async #freeze(id: string, frozen: boolean) {
    this.#group(id).frozen = frozen
    return {}
  }

  #exec(): Partial<Handlers<ExecContract>> {
    return {
      health: this.#health('exec'),
      info: async () => ({
        defaultRuntime: 'runc',
        runtimes: { runc: { path: '/usr/bin/runc', version: '1' } },
        logDrivers: ['json-file', 'none'],
        defaultLogDriver: 'json-file',
        securityOptions: [],
        initBinary: '',
      }),
      'process.check': async () => ({}),
      'process.run': async ({ id, instance }) => {
        const known = this.processes.get(id)
        const process: FakeProcess =
          known?.instance === instance
            ? known
            : { instance, pid: ++this.#pid, status: 'running', startedAt: new Date().toISOString() }
        this.processes.set(id, process)
        return { pid: process.pid, startedAt: process.startedAt, runtime: 'runc', logPath: `/logs/${id}` }
      },
      'process.signal': async ({ id, signal, key }) => {
        const process = this.processes.get(id)
        const sent = `${signal} ${key}`
        if (this.signals.includes(sent)) return {}
        if (process?.status !== 'running') throw conflict('it does not run')
        this.signals.push(sent)
        if (this.fatal.has(signal) && this.groups.get(id)?.frozen !== true)
          setImmediate(() => {
            if (this.processes.get(id) === process) void this.exit(id, 128 + signal)
          })
        return {}
      },
      'process.delete': async ({ id }) => this.#deleteProcess(id),
      'process.purge': async ({ id }) => this.#deleteProcess(id),
      'process.state': async ({ id }) => {
        const process = this.processes.get(id)
        if (!process) throw notFound(`no process of ${id}`)
        return { id, runtime: 'runc', ...process }
      },
      'process.list': async () => [...this.processes].map(([id, p]) => ({ id, runtime: 'runc', ...p })),
      'process.reconcile': async ({ keep }) => ({ removed: sweep(this.processes, keep) }),
      'process.attach': async () => ({ stream: { address: 'unix:/x', ticket: 't' } }),
      'process.logs': async () => ({ stream: { address: 'unix:/x', ticket: 't' } }),
      'session.start': async ({ id, container }) => {
        if (!this.sessions.has(id)) this.sessions.set(id, { container, running: true })
        return { pid: ++this.#pid, stream: { address: 'unix:/x', ticket: 't' } }
      },
      'session.state': async ({ id }) => {
        const session = this.sessions.get(id)
        if (!session) throw notFound(`no session ${id}`)
        return { id, pid: 1, ...session }
      },
      'session.kill': async () => ({}),
      'session.resize': async () => ({}),
    }
  }

  async #deleteProcess(id: string) {
    this.processes.delete(id)
    return {}
  }
}

function sweep(things: Map<string, unknown>, keep: readonly string[]): string[] {
  const removed = [...things.keys()].filter((id) => !keep.includes(id))
  for (const id of removed) things.delete(id)
  return removed
}
