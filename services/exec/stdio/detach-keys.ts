import { parseDetachKeys } from '../../../shared/tty/detach-keys.ts'

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
