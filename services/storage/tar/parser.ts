import { invalid } from '../../../shared/errors/index.ts'
import type { TarEntry, TarSink } from './entry.ts'
import { BLOCK, decodeHeader, isZero, typeOf, type Header } from './header.ts'
import { parsePax, paxNumber, paxTime, paxXattrs, type PaxRecords } from './pax.ts'

/** Longest pax header or GNU long name that is believed. */
const MAX_META = 1024 * 1024

type State = 'header' | 'meta' | 'data' | 'padding' | 'end'

const NO_XATTRS: ReadonlyMap<string, Buffer> = new Map()

/**
 * A tar archive, pushed in pieces of any size, becomes calls to a sink. Synchronous, and exact to the byte: file names and
 * extended attributes are bytes, and `raw` sees all that is not content, so that the archive can be put together again
 * (npm's tar libraries decode names and attributes as UTF-8, which spoils security.capability). Understands ustar, pax, GNU
 * long names, base-256 numbers and V7. Damaged or cut archives throw `invalid`.
 */
export class TarParser {
  readonly #sink: TarSink
  #state: State = 'header'
  /** A header that is not complete yet. */
  readonly #block = Buffer.alloc(BLOCK)
  #have = 0
  /** Bytes of content, padding or meta data still to come. */
  #left = 0
  #padding = 0
  #meta: Buffer[] = []
  #metaHeader: Header | undefined
  #global: PaxRecords = new Map()
  #pax: PaxRecords | undefined
  #longName: string | undefined
  #longLink: string | undefined

  constructor(sink: TarSink) {
    this.#sink = sink
  }

  write(chunk: Buffer): void {
    let at = 0
    while (at < chunk.length) at += this.#consume(at === 0 ? chunk : chunk.subarray(at))
  }

  /**
   * Nothing more comes. `invalid` when the archive stops in the middle; with `strict` also when its end marker is missing (it
   * may have been cut between two files).
   */
  end(strict: boolean): void {
    if (this.#state === 'end') return
    if (this.#state !== 'header' || this.#have > 0 || this.#pax || this.#longName !== undefined) {
      throw invalid('tar: unexpected end: the archive is cut short')
    }
    if (strict) throw invalid('tar: the end marker is missing: the archive is empty or cut short')
  }

  #consume(bytes: Buffer): number {
    switch (this.#state) {
      case 'header':
        return this.#header(bytes)
      case 'end':
        this.#sink.raw(bytes)
        return bytes.length
      case 'padding':
        return this.#skip(bytes)
      case 'meta':
      case 'data':
        return this.#content(bytes)
    }
  }

  #header(bytes: Buffer): number {
    const n = Math.min(BLOCK - this.#have, bytes.length)
    bytes.copy(this.#block, this.#have, 0, n)
    this.#have += n
    if (this.#have < BLOCK) return n
    this.#have = 0
    this.#sink.raw(Buffer.from(this.#block))
    if (isZero(this.#block)) this.#state = 'end'
    else this.#started(decodeHeader(this.#block))
    return n
  }

  #started(header: Header): void {
    if (header.size < 0) throw invalid('tar: negative size')
    if ('xgLK'.includes(header.typeflag)) {
      if (header.size > MAX_META) throw invalid(`tar: an extended header of ${header.size} bytes is too long`)
      this.#metaHeader = header
      this.#meta = []
      this.#expect('meta', header.size)
      return
    }
    const entry = this.#entry(header)
    this.#pax = undefined
    this.#longName = this.#longLink = undefined
    this.#sink.entry(entry)
    this.#expect('data', entry.size)
  }

  #expect(state: 'meta' | 'data', size: number): void {
    this.#state = state
    this.#left = size
    this.#padding = (BLOCK - (size % BLOCK)) % BLOCK
    if (size === 0) this.#complete()
  }

  #content(bytes: Buffer): number {
    const n = Math.min(this.#left, bytes.length)
    const piece = n === bytes.length ? bytes : bytes.subarray(0, n)
    if (this.#state === 'data') this.#sink.data(piece)
    else {
      this.#sink.raw(piece)
      this.#meta.push(Buffer.from(piece))
    }
    this.#left -= n
    if (this.#left === 0) this.#complete()
    return n
  }

  #complete(): void {
    if (this.#state === 'data') this.#sink.entryEnd()
    else this.#metaComplete()
    this.#state = this.#padding === 0 ? 'header' : 'padding'
  }

  #skip(bytes: Buffer): number {
    const n = Math.min(this.#padding, bytes.length)
    this.#sink.raw(bytes.subarray(0, n))
    this.#padding -= n
    if (this.#padding === 0) this.#state = 'header'
    return n
  }

  #metaComplete(): void {
    const data = Buffer.concat(this.#meta)
    this.#meta = []
    const name = (): string => data.toString('latin1').replace(/\0+$/, '')
    const kind = this.#metaHeader?.typeflag
    if (kind === 'g') this.#global = new Map([...this.#global, ...parsePax(data)])
    else if (kind === 'x') this.#pax = parsePax(data)
    else if (kind === 'L') this.#longName = name()
    else this.#longLink = name()
  }

  #entry(header: Header): TarEntry {
    const pax: PaxRecords =
      this.#global.size === 0 ? (this.#pax ?? EMPTY) : new Map([...this.#global, ...(this.#pax ?? EMPTY)])
    const name = pax.get('path') || this.#longName || header.name
    const type = typeOf({ ...header, name })
    if (type === undefined || [...pax.keys()].some((key) => key.startsWith('GNU.sparse.'))) {
      const what =
        type === undefined && header.typeflag !== 'S' ? `type ${JSON.stringify(header.typeflag)}` : 'sparse file'
      throw invalid(`tar: ${JSON.stringify(name)}: ${what} is not supported`)
    }
    if (name.includes('\0')) throw invalid('tar: a name contains a NUL byte')
    return {
      type,
      name,
      linkname: pax.get('linkpath') || this.#longLink || header.linkname,
      mode: header.mode & 0o7777,
      uid: paxNumber(pax, 'uid') ?? header.uid,
      gid: paxNumber(pax, 'gid') ?? header.gid,
      // Other types have no content, whatever their header says (as Go's and GNU's readers have it).
      size: type === 'file' ? (paxNumber(pax, 'size') ?? header.size) : 0,
      mtime: paxTime(pax, 'mtime') ?? BigInt(header.mtime) * 1_000_000_000n,
      major: header.major,
      minor: header.minor,
      xattrs: pax.size === 0 ? NO_XATTRS : paxXattrs(pax),
    }
  }
}

const EMPTY: PaxRecords = new Map()
