import {
  closeSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import type { Mount } from '../../shared/contracts/index.ts'
import { isCode } from '../../shared/kernel/libc.ts'
import { parseResolvConf, type ResolvConf } from './resolv-conf.ts'

const NAMES = ['hosts', 'resolv.conf', 'hostname'] as const
export type FileName = (typeof NAMES)[number]

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
    try {
      return readFileSync(this.path(sandboxId, name), 'utf8')
    } catch (error) {
      if (isCode(error, 'ENOENT')) return ''
      throw error
    }
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

/** The text of the host's resolv.conf, the one with real servers where systemd-resolved runs; empty when there is none. */
export function hostResolvConfText(): string {
  const text = readOr(HOST_RESOLV_CONF)
  const { nameservers } = parseResolvConf(text)
  return nameservers.length > 0 && nameservers.every((s) => s === '127.0.0.53') ? readOr(RESOLVED_CONF) || text : text
}

export const hostResolvConf = (): ResolvConf => parseResolvConf(hostResolvConfText())

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
 * The servers that the embedded DNS asks: the configured ones, or the host's, read again now and then. The host's own resolver on
 * loopback is as good as any: it is asked from the host.
 */
export function dnsServers(configured: readonly string[] | undefined): () => readonly string[] {
  if (configured && configured.length > 0) return () => configured
  let known: { servers: readonly string[]; until: number } | undefined
  return () => {
    const now = Date.now()
    if (!known || known.until < now) {
      known = { servers: parseResolvConf(readOr(HOST_RESOLV_CONF)).nameservers, until: now + SERVERS_KEPT_MS }
    }
    return known.servers
  }
}
