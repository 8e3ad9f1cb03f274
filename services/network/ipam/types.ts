/** What is asked for one subnet of a network, as in Docker's IPAM.Config; without `subnet` a default pool is chosen. */
export interface PoolWish {
  readonly subnet?: string | undefined
  readonly ipRange?: string | undefined
  readonly gateway?: string | undefined
  /** None is chosen where none is asked for. */
  readonly withoutGateway?: boolean | undefined
  /** Addresses never handed out: name to address. */
  readonly aux?: Readonly<Record<string, string>> | undefined
  /** The family of a pool without `subnet`; with one, the subnet's own family counts. */
  readonly v6?: boolean | undefined
}

/** A subnet of a network, all members known. */
export interface Pool {
  /** Canonical, for example `10.77.1.0/24` or `fd77:6::/64`. */
  readonly cidr: string
  /** Address without prefix length, reserved; empty for none. */
  readonly gateway: string
  /** Where addresses come from when none is asked for; the whole subnet when undefined. */
  readonly ipRange?: string
  readonly aux: Readonly<Record<string, string>>
  readonly v6: boolean
}

/** A route of the host, so that no pool is laid over it. Default routes are ignored. */
export interface HostRoute {
  readonly cidr: string
  /** Interface name, for the message. */
  readonly device: string
}

export interface AddressLease {
  readonly networkId: string
  readonly cidr: string
  readonly address: string
  readonly owner: string
}

/** A range to take default pools from: `{base: '172.18.0.0/15', size: 24}`. */
export interface PoolRange {
  readonly base: string
  readonly size: number
}

/** What `requestAddress` is asked. */
export interface AddressRequest {
  readonly networkId: string
  readonly cidr: string
  /** Who gets it (the sandbox's id): has one address of a pool. */
  readonly owner: string
  /** What the owner is called in errors (`container web`). */
  readonly holder: string
  /** A certain address. */
  readonly wanted?: string | undefined
}
