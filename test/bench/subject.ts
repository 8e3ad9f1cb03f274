import type { CommandResult } from '../support/command.ts'

/** An engine under measurement. */
export interface Subject {
  readonly name: string
  readonly socket: string
  /** Whether it is a real dockerd: some rows would take it minutes. */
  readonly reference: boolean
  docker(...args: string[]): Promise<CommandResult>
  /** Its processes: daemons, and shims of containers; not the containers' own. */
  processes(): Promise<number[]>
  stop(): Promise<void>
}

/** The image of all rows: the same archive, imported into each. */
export const BENCH_IMAGE = 'bench/busybox'
