import type { DriverContext } from '../../../shared/drivers/index.ts'
import type { RtNetlink } from '../../../shared/kernel/rtnetlink.ts'
import { readSysctl } from '../../../shared/kernel/sysctl.ts'

/** How long ports may be open to each other after somebody has switched br_netfilter off. */
const LOOK_EVERY_MS = 1000

/**
 * Keeps ports of networks without icc apart. Where br_netfilter shows bridged packets to the firewall, that does it, and knows
 * published ports from others: then a packet from a container to a neighbour's published port, or to its own, goes from port to port.
 * Elsewhere the bridge does it, which lets no frame pass between isolated ports; published ports are routed there. Whether br_netfilter
 * is on may change at any time, and nobody is told: it is looked at while there are such ports.
 */
export class PortIsolation {
  readonly #host: () => RtNetlink
  readonly #log: DriverContext['log']
  readonly #ports = new Set<string>()
  #isolated = false
  #timer: NodeJS.Timeout | undefined

  constructor(host: () => RtNetlink, log: DriverContext['log']) {
    this.#host = host
    this.#log = log
  }

  /** Keeps a port apart from now on. */
  add(name: string): void {
    this.look()
    this.#ports.add(name)
    this.#set(name)
    this.#timer ??= setInterval(() => this.look(), LOOK_EVERY_MS).unref()
  }

  delete(name: string): void {
    this.#ports.delete(name)
    if (this.#ports.size === 0) this.close()
  }

  close(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  /** Follows a change of br_netfilter. */
  look(): void {
    const isolated = !isFiltered()
    if (isolated === this.#isolated) return
    this.#isolated = isolated
    for (const name of this.#ports) {
      try {
        this.#set(name)
      } catch (error) {
        this.#log.error({ error, interface: name, isolated }, 'a port of a network without icc cannot be changed')
      }
    }
  }

  #set(name: string): void {
    const index = this.#host().link(name)?.index
    if (index !== undefined) this.#host().setBridgePort(index, { isolated: this.#isolated })
  }
}

/** Whether the firewall sees packets that go from port to port of a bridge; without the module the sysctls are missing. */
function isFiltered(): boolean {
  try {
    return ['iptables', 'ip6tables'].every((family) => readSysctl(`net/bridge/bridge-nf-call-${family}`) === '1')
  } catch {
    return false
  }
}
