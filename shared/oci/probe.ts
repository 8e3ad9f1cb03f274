import { execFile } from 'node:child_process'
import { accessSync, constants, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { OciPaths } from './paths.ts'

export interface ProbedRuntime {
  /** The runtime's program. */
  readonly path: string
  readonly call: RuntimeCall
  readonly version: string
  readonly conmon: string
}

/** A program, and the arguments that come before all others. */
export type RuntimeCommand = readonly [program: string, ...args: string[]]

/** How a runtime is called to do something with a container whose cgroup is `group` (a path in its hierarchy; '' when it has none). */
export type RuntimeCall = (group: string) => RuntimeCommand

const SEARCH = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin']

/** A program's path; undefined when it is not installed. */
export function findProgram(name: string): string | undefined {
  return SEARCH.map((dir) => join(dir, name)).find((path) => {
    try {
      accessSync(path, constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}

/** A name that no image has. */
const NOWHERE = '/gantry-probe-program'

/** What a probe asks of a runtime's own ways; see OciRuntime. */
export interface ProbeSubject {
  readonly name: string
  readonly install: string
  message(stderr: string): string
  otherWay?(path: string): RuntimeCall | undefined
}

/**
 * Finds out whether a runtime can run containers on this host, by letting it try: it is to create one whose program does not exist.
 * One that gets as far as looking for the program has made namespaces, mounts and cgroup, and cleans up itself.
 */
export async function probeRuntime(
  runtime: ProbeSubject,
  paths: OciPaths,
  engine: string,
): Promise<ProbedRuntime | { readonly reason: string }> {
  const conmon = findProgram('conmon')
  if (conmon === undefined) return { reason: 'conmon is not installed: apt-get install conmon' }
  const path = findProgram(runtime.name)
  if (path === undefined) return { reason: `${runtime.name} is not installed: ${runtime.install}` }
  const refused = await tryCommand(() => [path], runtime, paths, engine)
  const other = refused === undefined ? undefined : runtime.otherWay?.(path)
  if (refused !== undefined && (!other || (await tryCommand(other, runtime, paths, engine)) !== undefined)) {
    return { reason: refused }
  }
  const { stdout } = await run([path], ['--version'])
  return { path, call: other ?? (() => [path]), conmon, version: /version ([^\s]+)/.exec(stdout)?.[1] ?? 'unknown' }
}

/** Why the runtime creates no container when it is called like this; undefined when it does. */
async function tryCommand(
  call: RuntimeCall,
  runtime: ProbeSubject,
  paths: OciPaths,
  engine: string,
): Promise<string | undefined> {
  const command = call('')
  const dir = paths.probe
  const rootfs = join(dir, 'rootfs')
  for (const sub of ['proc', 'dev']) mkdirSync(join(rootfs, sub), { recursive: true, mode: 0o700 })
  try {
    const id = `${engine}-probe-${runtime.name}-${process.pid}`
    writeFileSync(join(dir, 'config.json'), JSON.stringify(probeConfig(rootfs, `/${id}`)))
    const state = ['--root', join(dir, 'state')]
    const tried = await run(command, [...state, 'create', '--bundle', dir, '--pid-file', join(dir, 'pid'), id])
    if (tried.stderr.includes(NOWHERE)) return undefined
    await run(command, [...state, 'delete', '--force', id])
    return runtime.message(tried.stderr) || `${runtime.name} could not create a container, without saying why`
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}

const probeConfig = (rootfs: string, cgroupsPath: string): object => ({
  ociVersion: '1.0.2',
  process: { user: { uid: 0, gid: 0 }, args: [NOWHERE], cwd: '/', env: [] },
  root: { path: rootfs, readonly: true },
  mounts: [
    { destination: '/proc', type: 'proc', source: 'proc' },
    { destination: '/dev', type: 'tmpfs', source: 'tmpfs' },
  ],
  linux: {
    cgroupsPath,
    namespaces: ['pid', 'ipc', 'uts', 'mount', 'network'].map((type) => ({ type })),
    resources: { devices: [{ allow: false, access: 'rwm' }] },
  },
})

function run(
  [program, ...first]: RuntimeCommand,
  args: readonly string[],
): Promise<{ stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    const child = execFile(program, [...first, ...args], { timeout: 10_000 }, (_, stdout, stderr) =>
      resolve({ stdout, stderr }),
    )
    child.stdin?.end()
  })
}
