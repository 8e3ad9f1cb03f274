import { randomBytes } from 'node:crypto'
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { execFileSync } from 'node:child_process'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Bus } from '../../shared/bus/index.ts'
import type { FactName, RunRequest, ProcessSpec, StreamRef } from '../../shared/contracts/index.ts'
import { createLogger } from '../../shared/log/index.ts'
import { Store } from '../../shared/store/index.ts'
import {
  closeStreamClients,
  createStreamServer,
  openStream,
  type StreamConnection,
} from '../../shared/streams/index.ts'
import type { ServiceContext } from '../../shared/service/module.ts'
import { service } from './main.ts'

export interface ToldFact {
  readonly name: FactName
  readonly fact: Record<string, unknown>
}

/** Handlers are tested as the bus calls them, without the bus. */
type Handler = (request: never) => Promise<Record<string, unknown>>

/** The exec service with directories of its own, a bus that notes the facts, and a root file system of busybox. */
export interface TestBed {
  readonly dir: string
  readonly rootfs: string
  readonly facts: readonly ToldFact[]
  call<T = Record<string, unknown>>(verb: string, request?: object): Promise<T>
  /** Resolves with the fact of this name about this id. */
  fact(name: FactName, id: string): Promise<Record<string, unknown>>
  /** Ends this service and starts one anew on the same directories, as after a crash when `clean` is false. */
  restart(): Promise<void>
  drivers(): readonly { kind: string; name: string; usable: boolean }[]
  /** `keep` leaves the directories for another start. */
  close(options?: { keep: boolean }): Promise<void>
}

export async function startTestBed(
  options: { runtime?: string; dir?: string; onFact?: (told: ToldFact) => void } = {},
): Promise<TestBed> {
  const dir = options.dir ?? mkdtempSync(join(tmpdir(), 'gx-'))
  const rootfs = makeRootfs(join(dir, 'rootfs'))
  const facts: ToldFact[] = []
  const listeners = new Set<() => void>()
  const start = async (): Promise<{
    stop(): Promise<void>
    handlers: Record<string, Handler>
    drivers: TestBed['drivers']
  }> => {
    const log = createLogger('exec', process.env['GANTRY_LOG_LEVEL'] ?? 'silent')
    const bus = {
      node: 'test',
      tellFact: async (name: FactName, fact: Record<string, unknown>) => {
        options.onFact?.({ name, fact })
        facts.push({ name, fact })
        for (const listener of listeners) listener()
      },
    } as unknown as Bus
    const streams = await createStreamServer({ path: join(dir, 'streams.sock'), log })
    const [stateDir, runDir] = [join(dir, 'state'), join(dir, 'run')]
    const store = new Store(join(stateDir, 'exec.db'), service.migrations, 'test')
    const context: ServiceContext = {
      name: 'exec',
      config: {
        node: 'test',
        root: dir,
        run: dir,
        engine: 'gx',
        socket: '',
        cgroupParent: '/gx',
        ...(options.runtime === undefined ? {} : { defaultDrivers: { exec: options.runtime } }),
      },
      log,
      bus,
      store,
      streams,
      stateDir,
      runDir,
      driverContext: (kind, driver) => {
        const dirs = { stateDir: join(stateDir, kind, driver), runDir: join(runDir, kind, driver) }
        for (const each of Object.values(dirs)) mkdirSync(each, { recursive: true })
        return { log, engine: 'gx', ...dirs }
      },
    }
    const running = await service.start(context)
    return {
      handlers: running.handlers as unknown as Record<string, Handler>,
      drivers: () => running.drivers(),
      stop: async () => {
        await running.stop()
        await streams.close()
        store.close()
      },
    }
  }
  let running = await start()
  // In life the connection to the bus keeps the process alive; the service's own watches do not.
  const alive = setInterval(() => undefined, 60_000)
  return {
    dir,
    rootfs,
    facts,
    drivers: () => running.drivers(),
    call: async <T>(verb: string, request: object = {}) => {
      const handler = running.handlers[verb]
      if (!handler) throw new Error(`no verb ${verb}`)
      return (await handler(request as never)) as T
    },
    fact: async (name, id) => {
      for (;;) {
        const found = facts.find((f) => f.name === name && f.fact['id'] === id)
        if (found) return found.fact
        await new Promise<void>((resolve) => {
          const heard = (): void => {
            listeners.delete(heard)
            resolve()
          }
          listeners.add(heard)
        })
      }
    },
    restart: async () => {
      await running.stop()
      running = await start()
    },
    close: async (how) => {
      const list = (await running.handlers['process.list']?.({} as never)) as unknown as { id: string }[]
      for (const { id } of list) await running.handlers['process.purge']?.({ id } as never)
      await running.stop()
      clearInterval(alive)
      closeStreamClients()
      if (how?.keep) return
      removeCgroups(dir)
      rmSync(dir, { recursive: true, force: true })
    },
  }
}

/** A root file system of busybox-static. */
export function makeRootfs(dir: string): string {
  for (const sub of ['bin', 'etc', 'tmp', 'root', 'proc', 'sys', 'dev', 'www'])
    mkdirSync(join(dir, sub), { recursive: true })
  const busybox = ['/usr/bin/busybox', '/bin/busybox'].find((p) => readdirSync(join(p, '..')).includes('busybox')) ?? ''
  try {
    copyFileSync(busybox, join(dir, 'bin/busybox'), 1)
  } catch {
    return dir
  }
  for (const applet of execFileSync(busybox, ['--list'], { encoding: 'utf8' }).trim().split('\n')) {
    if (applet !== 'busybox') symlinkSync('busybox', join(dir, 'bin', applet))
  }
  writeFileSync(join(dir, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\nweb:x:1000:1000::/www:/bin/sh\n')
  writeFileSync(join(dir, 'etc/group'), 'root:x:0:\nweb:x:1000:\nextra:x:1234:web\n')
  return dir
}

/** Container cgroups of a test bed are the cgroup service's business in life. */
const cgroupOf = (dir: string): string => `/gx${Buffer.from(dir).toString('hex').slice(-12)}`

export function removeCgroups(dir: string): void {
  for (const hierarchy of readdirSync('/sys/fs/cgroup')) {
    const parent = join('/sys/fs/cgroup', hierarchy, cgroupOf(dir))
    try {
      for (const entry of readdirSync(parent, { withFileTypes: true })) {
        if (entry.isDirectory()) rmdirSync(join(parent, entry.name))
      }
      rmdirSync(parent)
    } catch {
      // Not in this hierarchy.
    }
  }
}

export const newId = (): string => randomBytes(32).toString('hex')

export const processSpec = (args: readonly string[], more: Partial<ProcessSpec> = {}): ProcessSpec => ({
  args: [...args],
  env: ['PATH=/bin'],
  cwd: '/',
  user: '',
  groupAdd: [],
  tty: false,
  privileged: false,
  capAdd: [],
  capDrop: [],
  noNewPrivileges: false,
  ...more,
})

export function runRequest(
  bed: Pick<TestBed, 'dir' | 'rootfs'>,
  args: readonly string[],
  more: Partial<Omit<RunRequest, 'process'>> & { process?: Partial<ProcessSpec> } = {},
): RunRequest {
  const id = more.id ?? newId()
  return {
    instance: 'one',
    name: 'test',
    runtime: '',
    rootfs: bed.rootfs,
    readonlyRootfs: false,
    mounts: [],
    netns: '',
    cgroupsPath: `${cgroupOf(bed.dir)}/${id}`,
    systemdCgroup: false,
    stdin: false,
    stdinOnce: false,
    hostname: 'box',
    domainname: '',
    namespaces: {
      pid: { kind: 'private' },
      ipc: { kind: 'private' },
      uts: { kind: 'private' },
      cgroup: { kind: 'host' },
    },
    shmSize: 0,
    devices: [],
    deviceCgroupRules: [],
    sysctls: {},
    rlimits: [],
    oomScoreAdj: 0,
    seccomp: 'default',
    init: false,
    annotations: {},
    log: { driver: '', options: {} },
    ...more,
    id,
    process: processSpec(args, more.process),
  }
}

export interface Collected {
  stdout: string
  stderr: string
}

/** Reads a stream to its end. */
export async function collect(stream: StreamConnection): Promise<Collected> {
  const parts: Buffer[][] = [[], [], []]
  for await (const { channel, data } of stream.frames) parts[channel]?.push(Buffer.from(data))
  return { stdout: Buffer.concat(parts[1] ?? []).toString(), stderr: Buffer.concat(parts[2] ?? []).toString() }
}

export const open = (reply: { stream?: StreamRef }): StreamConnection => {
  if (!reply.stream) throw new Error('no stream')
  return openStream(reply.stream)
}

export const attachRequest = (id: string, more: object = {}): object => ({
  id,
  stdin: false,
  stdout: true,
  stderr: true,
  logs: false,
  stream: true,
  tty: false,
  detachKeys: '',
  log: { driver: '', options: {} },
  ...more,
})

export const logsRequest = (id: string, more: object = {}): object => ({
  id,
  log: { driver: '', options: {} },
  stdout: true,
  stderr: true,
  since: 0,
  until: 0,
  tail: -1,
  follow: false,
  timestamps: false,
  details: '',
  ...more,
})
