/**
 * Which positions of a pool are taken, and the next that is not. It grows with what is used, so that a /64 costs no more than its
 * containers; a search looks at 32 positions a step, so that a nearly full /16 takes some microseconds.
 */
export class Bitmap {
  readonly #size: number
  #words = new Uint32Array(1)

  constructor(size: number) {
    this.#size = size
  }

  set(position: number): void {
    const index = position >>> 5
    if (index >= this.#words.length) {
      const grown = new Uint32Array(Math.max(index + 1, this.#words.length * 2))
      grown.set(this.#words)
      this.#words = grown
    }
    this.#words[index] = (this.#words[index] ?? 0) | (1 << (position & 31))
  }

  clear(position: number): void {
    const index = position >>> 5
    if (index < this.#words.length) this.#words[index] = (this.#words[index] ?? 0) & ~(1 << (position & 31))
  }

  has(position: number): boolean {
    return (((this.#words[position >>> 5] ?? 0) >>> (position & 31)) & 1) === 1
  }

  /** The first free position from `start` on, then from the beginning; undefined when all are taken. */
  nextFree(start: number): number | undefined {
    return this.#freeIn(start, this.#size) ?? this.#freeIn(0, start)
  }

  #freeIn(from: number, end: number): number | undefined {
    for (let index = from >>> 5; index << 5 < end; index++) {
      // Positions before `from` count as taken.
      const before = index === from >>> 5 ? (1 << (from & 31)) - 1 : 0
      const free = ~((this.#words[index] ?? 0) | before)
      if (free === 0) continue
      const position = (index << 5) + (31 - Math.clz32(free & -free))
      return position < end ? position : undefined
    }
    return undefined
  }
}
