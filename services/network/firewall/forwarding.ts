import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { readSysctl } from '../../../shared/kernel/sysctl.ts'
import { enableForwarding, forwards } from './sysctls.ts'
import type { Family } from './types.ts'

/**
 * Packet forwarding of this host, and whether it is our doing: then the host must not become a router between its uplinks. It is
 * remembered in a file for as long as the machine runs; after that the parameters are again what the administrator made them.
 */
export class Forwarding {
  readonly #file: string
  readonly #boot = readSysctl('kernel.random.boot_id')
  #opened: readonly Family[]

  constructor(file: string) {
    this.#file = file
    this.#opened = this.#read()
  }

  /** Families whose forwarding this engine switched on since the machine was started. */
  get opened(): readonly Family[] {
    return this.#opened
  }

  /** Makes this host forward between its interfaces; returns the parameters that were changed. */
  enable(ipv6: boolean): string[] {
    const wanted: Family[] = ipv6 ? ['ipv4', 'ipv6'] : ['ipv4']
    const off = wanted.filter((family) => !forwards(family))
    if (off.length === 0) return []
    // Written down first: a crash in between leaves a host that is closed, not one that is open.
    this.#write([...new Set([...this.#opened, ...off])])
    return off.flatMap(enableForwarding)
  }

  #read(): Family[] {
    try {
      const [boot, ...families] = readFileSync(this.#file, 'utf8').trim().split(' ')
      return boot === this.#boot ? families.filter((f) => f === 'ipv4' || f === 'ipv6') : []
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
      throw error
    }
  }

  #write(families: readonly Family[]): void {
    const next = `${this.#file}.new`
    writeFileSync(next, `${[this.#boot, ...families].join(' ')}\n`)
    renameSync(next, this.#file)
    this.#opened = families
  }
}
