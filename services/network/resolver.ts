import { isDefaultBridge } from './endpoints.ts'
import type { NetworkContext } from './context.ts'
import type { DnsServer } from './dns/index.ts'
import type { Placed } from './gateway.ts'
import type { Names } from './names.ts'
import type { SandboxRecord } from './records.ts'

/** Whether the embedded DNS serves the names of an endpoint's network: every one but the default bridge. */
export const usesDns =
  (context: Pick<NetworkContext, 'drivers'>) =>
  ({ network }: Placed): boolean =>
    context.drivers.get(network.driver).manifest.capabilities['dns'] === true && !isDefaultBridge(network)

/** Keeps names, and the servers that tell them, in step with the sandboxes. */
export class Resolver {
  readonly #names: Names
  readonly #server: Pick<DnsServer, 'attach' | 'detach'>
  readonly #usesDns: (placed: Placed) => boolean

  constructor(names: Names, server: Pick<DnsServer, 'attach' | 'detach'>, serves: (placed: Placed) => boolean) {
    this.#names = names
    this.#server = server
    this.#usesDns = serves
  }

  /** After a sandbox was made, or its endpoints changed. */
  async attach(sandbox: SandboxRecord, endpoints: readonly Placed[], netns: string | null): Promise<void> {
    this.know(sandbox, endpoints)
    await this.serve(sandbox, endpoints, netns)
  }

  /** Takes its names up, without answering its questions yet. */
  know(sandbox: SandboxRecord, endpoints: readonly Placed[]): void {
    this.#names.set(sandbox, endpoints.filter(this.#usesDns), endpoints)
  }

  /** Answers its questions from now on, if it is on a network with names. */
  async serve(sandbox: SandboxRecord, endpoints: readonly Placed[], netns: string | null): Promise<void> {
    if (netns !== null && endpoints.some(this.#usesDns)) await this.#server.attach(sandbox.id, netns)
    else this.#server.detach(sandbox.id)
  }

  /** The container does not run any more, but others still use its sandbox. */
  forgetNames(sandboxId: string): void {
    this.#names.forget(sandboxId)
  }

  /** The sandbox is no more. */
  detach(sandboxId: string): void {
    this.#names.drop(sandboxId)
    this.#server.detach(sandboxId)
  }
}
