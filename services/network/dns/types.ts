/** Addresses of a name as one sandbox sees it: only names of the networks that the sandbox is on. */
export interface NameAnswer {
  readonly v4: readonly string[]
  readonly v6: readonly string[]
}

/** What the DNS server asks the service; called once a question, so it must be quick (a map, no database). */
export interface NameSource {
  /**
   * Addresses of a name (lower case, no trailing dot, as asked: may have dots or a search domain); undefined when it is
   * no container's name on any network of that sandbox.
   */
  lookup(sandboxId: string, name: string): NameAnswer | undefined
  /** The name to answer for an address (`web.mynet`), when it is a container's on a network of that sandbox. */
  reverse(sandboxId: string, address: string): string | undefined
  /**
   * Servers for all other names of this sandbox (`docker run --dns`), asked from within it; undefined: the default ones, asked from
   * the host; empty: none (internal networks).
   */
  forwarders(sandboxId: string): readonly string[] | undefined
}
