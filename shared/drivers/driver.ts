import type { TSchema } from 'typebox'
import type { Logger } from '../log/index.ts'

/** The kinds of drivers. Each has one contract in this folder and one folder under `plugins/`. */
export const DRIVER_KINDS = ['network', 'storage', 'cgroup', 'exec', 'log', 'volume'] as const
export type DriverKind = (typeof DRIVER_KINDS)[number]

/** What a driver says of itself, read by the service, by `/info` and by the conformance suite. */
export interface DriverManifest {
  readonly kind: DriverKind
  /** The name users choose it by (`--driver`, `--runtime`). */
  readonly name: string
  /** Of the driver, semver. */
  readonly version: string
  /** Version of the kind's contract that it is written for. */
  readonly contract: 1
  /** Data, not code: the suite and the service both read it. Keys are listed in the kind's contract. */
  readonly capabilities: Readonly<Record<string, boolean | number | string>>
  /** Schema of the options that a user may give it (`-o key=value`); anything else is refused as `invalid`. */
  readonly options: TSchema
}

/** What every driver gets. It has no bus, no database and no other service. */
export interface DriverContext {
  readonly log: Logger
  /** A directory of its own, kept across reboots. */
  readonly stateDir: string
  /** A directory of its own, emptied by a reboot. */
  readonly runDir: string
  /** Short name of this engine, unique on the machine ([a-z0-9], at most 8 characters): prefix for kernel objects. */
  readonly engine: string
}

/**
 * Whether the driver can run here. "Cannot" is an answer and not an error; the reason says what is missing and, where
 * that helps, how to install it. A probe really tries.
 */
export type ProbeResult =
  { readonly usable: true; readonly rank: number } | { readonly usable: false; readonly reason: string }

/** Every driver of every kind. */
export interface Driver {
  readonly manifest: DriverManifest
  /** `rank`: among usable drivers the highest is the default, unless the configuration names one. */
  probe(): Promise<ProbeResult>
  /** Gives back what the driver itself holds in this process (sockets, watches). Kernel objects stay. */
  close(): Promise<void>
}

/** What a driver folder's index.ts exports as `default`. */
export interface DriverModule<D extends Driver = Driver, C extends DriverContext = DriverContext> {
  readonly manifest: DriverManifest
  create(context: C): D
}

/** Opaque to everybody but the driver that wrote it; the service keeps it and hands it back. */
export interface DriverState {
  readonly version: number
  readonly [key: string]: unknown
}
