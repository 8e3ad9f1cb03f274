import { invalid } from '../errors/index.ts'

const DEFAULT_DETACH_KEYS = 'ctrl-p,ctrl-q'

/** `ctrl-p,ctrl-q`, `a,b`, `ctrl-\\`: the bytes that end an attachment (moby/term ToBytes). */
export function parseDetachKeys(keys: string): Uint8Array {
  const bytes = (keys === '' ? DEFAULT_DETACH_KEYS : keys).split(',').map((key) => {
    if (key.length === 1) return key.charCodeAt(0)
    const name = /^ctrl-([a-z@[\\\]^_])$/i.exec(key)?.[1]
    if (name === undefined) throw invalid(`invalid detach keys: Unknown character: '${key}'`)
    // Control characters are the upper-case letters (and @ [ \ ] ^ _) without their bit 6.
    return name.toUpperCase().charCodeAt(0) & 0x1f
  })
  return Uint8Array.from(bytes)
}
