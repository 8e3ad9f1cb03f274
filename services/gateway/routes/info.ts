import type { Health, Json } from '../../../shared/contracts/index.ts'
import { VERSION } from '../../../shared/service/version.ts'
import type { Backend } from '../backend.ts'
import { hostFacts } from '../host.ts'
import { healthOfAll } from './services.ts'

const DEFAULT_REGISTRY = 'https://index.docker.io/v1/'

/** Docker's SystemInfo: each service's own figures, the drivers in use, and what is wrong (as warnings). */
export async function assembleInfo(backend: Backend): Promise<Json> {
  const host = hostFacts()
  const [engine, storage, cgroup, exec, services] = await Promise.all([
    backend.engine.info({}),
    backend.storage.info({}),
    backend.cgroup.info({}),
    backend.exec.info({}),
    healthOfAll(backend),
  ])
  return {
    ID: engine.id,
    Name: host.hostname,
    ServerVersion: VERSION,
    Containers: engine.containers,
    ContainersRunning: engine.running,
    ContainersPaused: engine.paused,
    ContainersStopped: engine.stopped,
    Images: storage.images,
    Driver: storage.driver,
    DriverStatus: storage.driverStatus,
    DockerRootDir: storage.root,
    Plugins: {
      Volume: usable(services.health, 'volume', ['local']),
      Network: usable(services.health, 'network', []),
      Authorization: null,
      Log: exec.logDrivers,
    },
    // In Docker's own names: MemoryLimit, SwapLimit, CpuCfsQuota, ...
    ...cgroup.limits,
    IPv4Forwarding: true,
    Debug: false,
    NFd: 0,
    NGoroutines: 0,
    NEventsListener: 0,
    SystemTime: new Date().toISOString(),
    LoggingDriver: exec.defaultLogDriver,
    CgroupDriver: cgroup.driver,
    CgroupVersion: cgroup.version,
    KernelVersion: host.kernel,
    OperatingSystem: host.operatingSystem,
    OSVersion: host.osVersion,
    OSType: 'linux',
    Architecture: host.machine,
    NCPU: host.cpus,
    MemTotal: host.memory,
    IndexServerAddress: DEFAULT_REGISTRY,
    RegistryConfig: {
      InsecureRegistryCIDRs: ['::1/128', '127.0.0.0/8'],
      IndexConfigs: { 'docker.io': { Name: 'docker.io', Mirrors: [], Secure: true, Official: true } },
      Mirrors: [],
    },
    GenericResources: null,
    HttpProxy: '',
    HttpsProxy: '',
    NoProxy: '',
    Labels: [],
    ExperimentalBuild: false,
    Runtimes: Object.fromEntries(Object.entries(exec.runtimes).map(([name, { path }]) => [name, { path }])),
    DefaultRuntime: exec.defaultRuntime,
    Swarm: {
      NodeID: '',
      NodeAddr: '',
      LocalNodeState: 'inactive',
      ControlAvailable: false,
      Error: '',
      RemoteManagers: null,
    },
    LiveRestoreEnabled: true,
    Isolation: '',
    InitBinary: exec.initBinary,
    ContainerdCommit: { ID: '' },
    RuncCommit: { ID: exec.runtimes['runc']?.version ?? '' },
    InitCommit: { ID: '' },
    SecurityOptions: exec.securityOptions,
    CDISpecDirs: [],
    FirewallBackend: { Driver: 'nftables' },
    Warnings: [...new Set([...cgroup.warnings, ...services.warnings])],
  }
}

function usable(services: readonly Health[], kind: string, fallback: string[]): string[] {
  const drivers = services.flatMap((s) => s.drivers).filter((d) => d.kind === kind && d.usable)
  return drivers.length === 0 ? fallback : drivers.map((d) => d.name).sort()
}
