import type { Stoppable } from '../../shared/bus/index.ts'
import type { Backend } from './backend.ts'

/** How old an answer may get when no change is told: what it says of times is then a little late, or its service has died. */
const LONGEST_MS = 1000
const MOST = 200

interface View {
  readonly asked: number
  readonly text: string
}

/**
 * Answers about containers, as the text of a reply, for clients that ask the same again and again. The engine tells each change
 * before anything else that follows from it: then all are forgotten, and one that was on its way is not kept.
 */
export class Views {
  readonly #views = new Map<string, View>()
  readonly #hearing: Stoppable | undefined
  readonly #now: () => number
  #changes = 0

  constructor(onChanges: Backend['onChanges'], now = () => performance.now()) {
    this.#now = now
    this.#hearing = onChanges?.(() => {
      this.#changes++
      this.#views.clear()
    })
  }

  /** What `ask` answers, or answered a moment ago. */
  async read(key: string, ask: () => Promise<unknown>): Promise<string> {
    const asked = this.#now()
    const known = this.#views.get(key)
    if (known && asked - known.asked < LONGEST_MS) return known.text
    const changes = this.#changes
    const text = `${JSON.stringify(await ask())}\n`
    if (this.#hearing && changes === this.#changes) {
      if (this.#views.size >= MOST) this.#views.clear()
      this.#views.set(key, { asked, text })
    }
    return text
  }
}

const viewsOf = new WeakMap<Backend, Views>()

/** The views of one backend. */
export function views(backend: Backend): Views {
  const known = viewsOf.get(backend) ?? new Views(backend.onChanges)
  viewsOf.set(backend, known)
  return known
}
