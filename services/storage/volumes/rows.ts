import type { DriverState } from '../../../shared/drivers/index.ts'

/** A row of `volumes`. */
export interface VolumeRow {
  readonly name: string
  readonly driver: string
  readonly options: string
  readonly labels: string
  readonly anonymous: number
  /** `creating` and `removing` are finished, one way or the other, at the next start. */
  readonly status: 'creating' | 'ready' | 'removing'
  readonly state: string | null
  readonly created: number
}

export type Words = Record<string, string>

export const wordsOf = (json: string): Words => JSON.parse(json) as Words

export const stateOf = (row: VolumeRow): DriverState =>
  row.state === null ? { version: 0 } : (JSON.parse(row.state) as DriverState)
