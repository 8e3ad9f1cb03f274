/** A sandbox that asks, and what is known of its questions; as long as it is served. */
export class Client {
  readonly sandbox: string
  /** The file of its namespace. */
  readonly netns: string
  /** Questions that others have been asked and have not answered yet. */
  underway = 0
  /** Servers asked from within the sandbox that did not answer, and until when they are asked last. */
  readonly silent = new Map<string, number>()

  constructor(sandbox: string, netns: string) {
    this.sandbox = sandbox
    this.netns = netns
  }
}

/** Where a question goes that is not answered here. */
export interface Upstream {
  readonly servers: readonly string[]
  /** From within the client's namespace, or from the host. */
  readonly inside: boolean
}
