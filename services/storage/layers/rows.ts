/** A row of `layers`. */
export interface LayerRow {
  readonly id: string
  readonly driver: string
  readonly chain_id: string
  readonly diff_id: string
  readonly parent: string | null
  readonly depth: number
  readonly size: number
  readonly tar_size: number
  readonly init: string | null
  readonly created: number
}
