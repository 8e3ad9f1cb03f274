import { closeSync, constants, openSync, readFileSync, readlinkSync } from 'node:fs'
import { isCode } from './libc.ts'

/** Counters of an interface, as Docker names them. */
export interface InterfaceCounters {
  readonly rx_bytes: number
  readonly rx_packets: number
  readonly rx_errors: number
  readonly rx_dropped: number
  readonly tx_bytes: number
  readonly tx_packets: number
  readonly tx_errors: number
  readonly tx_dropped: number
}

/** /proc/net/dev (proc(5)): eight columns received, eight sent; loopback is left out. */
export function parseNetDev(text: string): Record<string, InterfaceCounters> {
  const interfaces: Record<string, InterfaceCounters> = {}
  for (const line of text.split('\n')) {
    const colon = line.indexOf(':')
    const name = line.slice(0, colon).trim()
    if (colon < 0 || name === 'lo') continue
    const n = line
      .slice(colon + 1)
      .trim()
      .split(/\s+/)
      .map(Number)
    interfaces[name] = {
      rx_bytes: n[0] ?? 0,
      rx_packets: n[1] ?? 0,
      rx_errors: n[2] ?? 0,
      rx_dropped: n[3] ?? 0,
      tx_bytes: n[8] ?? 0,
      tx_packets: n[9] ?? 0,
      tx_errors: n[10] ?? 0,
      tx_dropped: n[11] ?? 0,
    }
  }
  return interfaces
}

/**
 * The interfaces that a process sees. The process is held by its directory in /proc, so that another one with the same pid is never
 * taken for it; its network namespace is not held.
 */
export class ProcessInterfaces {
  readonly #fd: number
  readonly #shared: boolean

  private constructor(fd: number) {
    this.#fd = fd
    this.#shared = readlinkSync(`/proc/self/fd/${fd}/ns/net`) === readlinkSync('/proc/self/ns/net')
  }

  /** undefined when there is no such process. */
  static open(pid: number): ProcessInterfaces | undefined {
    let fd: number
    try {
      fd = openSync(`/proc/${pid}`, constants.O_RDONLY | constants.O_DIRECTORY)
    } catch (error) {
      if (isCode(error, 'ENOENT', 'ESRCH')) return undefined
      throw error
    }
    try {
      return new ProcessInterfaces(fd)
    } catch (error) {
      closeSync(fd)
      if (isCode(error, 'ENOENT', 'ESRCH')) return undefined
      throw error
    }
  }

  /** undefined when the process has ended; empty for a process in this process's own namespace, whose interfaces are the host's. */
  read(): Record<string, InterfaceCounters> | undefined {
    if (this.#shared) return {}
    try {
      return parseNetDev(readFileSync(`/proc/self/fd/${this.#fd}/net/dev`, 'latin1'))
    } catch (error) {
      if (isCode(error, 'ENOENT', 'ESRCH', 'EINVAL')) return undefined
      throw error
    }
  }

  close(): void {
    closeSync(this.#fd)
  }
}
