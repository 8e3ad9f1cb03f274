import type { ResolvedMount } from './mounts.ts'

/** A row of `rootfs`. */
export interface RootfsRow {
  readonly id: string
  readonly image: string
  readonly driver: string
  readonly layer: string | null
  readonly mounts: string
  readonly created: number
}

export const mountsOf = (row: RootfsRow): ResolvedMount[] => JSON.parse(row.mounts) as ResolvedMount[]
