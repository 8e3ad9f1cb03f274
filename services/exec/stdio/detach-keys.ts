import { invalid } from '../../../shared/errors/index.ts'

export const DEFAULT_DETACH_KEYS = 'ctrl-p,ctrl-q'

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

/** Watches what is typed for the detach keys. */
export class DetachFilter {
  readonly #keys: Uint8Array
  #matched = 0

  constructor(keys: string) {
    this.#keys = parseDetachKeys(keys)
  }

  /** What to pass on of the input, and whether the keys were met in it. The beginning of the keys is held back until it is clear. */
  filter(input: Uint8Array): { pass: Uint8Array; detached: boolean } {
    const pass: number[] = []
    for (const byte of input) {
      if (byte === this.#keys[this.#matched]) {
        this.#matched++
        if (this.#matched === this.#keys.length) return { pass: Uint8Array.from(pass), detached: true }
        continue
      }
      pass.push(...this.#keys.subarray(0, this.#matched))
      this.#matched = 0
      if (byte === this.#keys[0]) this.#matched = 1
      else pass.push(byte)
    }
    return { pass: Uint8Array.from(pass), detached: false }
  }
}
