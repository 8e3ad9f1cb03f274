/** What a tar header says. Names are byte strings (latin1: one character a byte). */
export interface TarEntry {
  readonly type: TarType
  /** As it stands in the archive. */
  readonly name: string
  readonly linkname: string
  readonly mode: number
  readonly uid: number
  readonly gid: number
  /** Bytes of content that follow; only files have any. */
  readonly size: number
  /** Nanoseconds since the epoch. */
  readonly mtime: bigint
  readonly major: number
  readonly minor: number
  /** Extended attributes: name (byte string) to value. */
  readonly xattrs: ReadonlyMap<string, Buffer>
}

export type TarType = 'file' | 'directory' | 'symlink' | 'link' | 'char' | 'block' | 'fifo'

/** Receives an archive, piece by piece, in order. */
export interface TarSink {
  /** Everything that is not content: headers, padding, the end. Together with the contents it is the archive, byte for byte. */
  raw(bytes: Buffer): void
  entry(entry: TarEntry): void
  /** Content of the latest entry. */
  data(bytes: Buffer): void
  /** The latest entry's content is complete; called for entries without content too. */
  entryEnd(): void
}
