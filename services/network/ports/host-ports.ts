import type { PortBinding, PortRequest } from '../../../shared/contracts/index.ts'
import type { RelayTarget } from './relay.ts'

/** A port of this host on one of its addresses, or on all of a family (`0.0.0.0`, `::`). */
export interface HostPort extends Pick<PortBinding, 'hostIp' | 'hostPort'> {
  readonly protocol: PortRequest['protocol']
}

/** `taken`: a process of this host has it; `foreign`: the address is none of this host's. */
export type HostPortState = 'free' | 'taken' | 'foreign'

/** What the allocator asks of the host; replaced in tests. */
export interface HostPorts {
  /** Keeps a port from every process of the host; `free` when it is kept now. */
  hold(port: HostPort): HostPortState
  /** Gives a port back to the host; one that is not kept is no error. */
  drop(port: HostPort): void
  /** Lets connections to a kept TCP port pass on to a container; undefined: no more. */
  relay(port: HostPort, target: RelayTarget | undefined): void
  close(): void
  holder(protocol: string, port: number): string | undefined
  range(): { first: number; last: number }
  hasIPv6(): boolean
}
