import {
  closeSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import type { Mount } from '../../shared/contracts/index.ts'
import { isCode } from '../../shared/kernel/libc.ts'
import { parseResolvConf, PUBLIC_DNS, type ResolvConf } from './resolv-conf.ts'

const NAMES = ['hosts', 'resolv.conf', 'hostname'] as const
export type FileName = (typeof NAMES)[number]
/** Beside them, for the service alone: what it wrote into them. */
const NOTE = 'written.json'

/** The three files of each sandbox that are mounted over the image's, and the namespace's own. */
export class SandboxFiles {
  readonly #dir: string
  readonly #netnsDir: string

  constructor(runDir: string) {
    this.#dir = join(runDir, 'sandboxes')
    this.#netnsDir = join(runDir, 'netns')
    for (const dir of [this.#dir, this.#netnsDir]) mkdirSync(dir, { recursive: true, mode: 0o711 })
  }

  /** The file that pins a sandbox's namespace. */
  netns = (sandboxId: string): string => join(this.#netnsDir, sandboxId.slice(0, 16))

  path = (sandboxId: string, name: FileName): string => join(this.#dir, sandboxId, name)

  mounts(sandboxId: string): Mount[] {
    return NAMES.map((name) => ({
      type: 'bind',
      source: this.path(sandboxId, name),
      destination: `/etc/${name}`,
      options: ['rbind', 'rprivate'],
    }))
  }

  /** Writes a file, keeping its inode: it is mounted in containers. A reader never finds it empty. */
  write(sandboxId: string, name: FileName, text: string): void {
    const path = this.path(sandboxId, name)
    try {
      const fd = openSync(path, 'r+')
      try {
        const length = writeSync(fd, text, 0)
        ftruncateSync(fd, length)
      } finally {
        closeSync(fd)
      }
    } catch (error) {
      if (!isCode(error, 'ENOENT')) throw error
      mkdirSync(join(this.#dir, sandboxId), { recursive: true, mode: 0o711 })
      writeFileSync(path, text, { mode: 0o644 })
    }
  }

  read(sandboxId: string, name: FileName): string {
    return readOr(this.path(sandboxId, name))
  }

  /** A note about the files; empty when there is none. */
  readNote(sandboxId: string): string {
    return readOr(join(this.#dir, sandboxId, NOTE))
  }

  /** After a crash it is the former one, or this. */
  writeNote(sandboxId: string, text: string): void {
    const path = join(this.#dir, sandboxId, NOTE)
    writeFileSync(`${path}.new`, text, { mode: 0o600 })
    renameSync(`${path}.new`, path)
  }

  remove(sandboxId: string): void {
    rmSync(join(this.#dir, sandboxId), { recursive: true, force: true })
  }

  /** What is on disk: ids with files, and paths of namespace files. For recovery. */
  found(): { ids: string[]; netns: string[] } {
    return {
      ids: readdirSync(this.#dir),
      netns: readdirSync(this.#netnsDir).map((name) => join(this.#netnsDir, name)),
    }
  }
}

const HOST_RESOLV_CONF = '/etc/resolv.conf'
/** Written by systemd-resolved: the real servers, where /etc/resolv.conf names only its own on loopback. */
const RESOLVED_CONF = '/run/systemd/resolve/resolv.conf'

/** The text of the host's resolv.conf; empty when there is none. */
export const hostResolvConfText = (): string => readOr(HOST_RESOLV_CONF)

/** What the host's resolv.conf says, the one with real servers where systemd-resolved runs. */
export function hostResolvConf(): ResolvConf {
  const conf = parseResolvConf(hostResolvConfText())
  const resolved = conf.nameservers.length > 0 && conf.nameservers.every((s) => s === '127.0.0.53')
  return resolved ? parseResolvConf(readOr(RESOLVED_CONF) || hostResolvConfText()) : conf
}

export function readOr(path: string, otherwise = ''): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if (isCode(error, 'ENOENT')) return otherwise
    throw error
  }
}

const SERVERS_KEPT_MS = 5000

/**
 * The servers that the embedded DNS asks: the configured ones, or the host's, read again now and then; public ones when the host names
 * none. The host's own resolver on loopback is as good as any: it is asked from the host.
 */
export function dnsServers(
  configured: readonly string[] | undefined,
  read: () => string = hostResolvConfText,
): () => readonly string[] {
  if (configured && configured.length > 0) return () => configured
  let known: { servers: readonly string[]; until: number } | undefined
  return () => {
    const now = Date.now()
    if (!known || known.until < now) {
      const { nameservers } = parseResolvConf(read())
      known = { servers: nameservers.length > 0 ? nameservers : PUBLIC_DNS, until: now + SERVERS_KEPT_MS }
    }
    return known.servers
  }
}
