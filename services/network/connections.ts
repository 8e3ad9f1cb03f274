import { isDeepStrictEqual } from 'node:util'
import type { EndpointRequest, SandboxInfo } from '../../shared/contracts/index.ts'
import { forbidden, invalid } from '../../shared/errors/index.ts'
import type { Attachments } from './attachments.ts'
import type { Locks } from '../../shared/async/locks.ts'
import type { Placed } from './gateway.ts'
import type { EndpointRecord, SandboxRecord } from './records.ts'
import { describeSandbox, readySandbox, type SandboxParts } from './sandbox-parts.ts'

/** The first attempt may have died half-way: everything is made what it should be. */
const UNKNOWN = [] as const

/** `docker network connect` and `disconnect` of running containers. */
export class Connections {
  readonly #p: SandboxParts
  readonly #attachments: Attachments
  readonly #locks: Locks

  /** `locks`: the same as those of `Sandboxes`. */
  constructor(parts: SandboxParts, attachments: Attachments, locks: Locks) {
    this.#p = parts
    this.#attachments = attachments
    this.#locks = locks
  }

  /** Adds an endpoint to a live sandbox; what it has stays as it is when that fails. */
  async connect(id: string, request: EndpointRequest): Promise<SandboxInfo> {
    return this.#locks.run(id, async () => {
      const sandbox = readySandbox(this.#p, id)
      refuseUnconnectable(sandbox)
      const networkId = this.#p.endpoints.networkId(request)
      const before = this.#p.endpoints.of(id)
      const there = before.find((p) => p.network.id === networkId)
      // Links alone may change while it is connected; the same request again is one whose answer was lost.
      if (there && isRelinked(there.endpoint, request)) await this.#relink(sandbox, there.endpoint, request)
      else await this.#attach(sandbox, there, request, before)
      return describeSandbox(this.#p, readySandbox(this.#p, id))
    })
  }

  async #relink(sandbox: SandboxRecord, endpoint: EndpointRecord, request: EndpointRequest): Promise<void> {
    this.#attachments.change(sandbox, endpoint, request)
    try {
      await this.#attachments.settle(readySandbox(this.#p, sandbox.id), UNKNOWN)
    } catch (error) {
      this.#attachments.change(sandbox, endpoint, endpoint.request)
      throw error
    }
  }

  async #attach(
    sandbox: SandboxRecord,
    there: Placed | undefined,
    request: EndpointRequest,
    before: readonly Placed[],
  ): Promise<void> {
    // One that an earlier failure could not take away.
    if (there && there.endpoint.phase !== 'ready') await this.#attachments.detach(sandbox, there)
    const placed = await this.#attachments.attach(sandbox, request)
    try {
      await this.#attachments.settle(readySandbox(this.#p, sandbox.id), before)
      this.#attachments.confirm(sandbox.id, [placed])
    } catch (error) {
      await this.#takeBack(sandbox, placed).catch((failure: unknown) => {
        this.#p.context.log.warn({ endpoint: placed.endpoint.id, failure }, 'a failed connect could not be taken back')
      })
      throw error
    }
  }

  /** The endpoint is there, but not what depends on it: its caller gets an error, so it must not stay. */
  async #takeBack(sandbox: SandboxRecord, placed: Placed): Promise<void> {
    await this.#attachments.detach(sandbox, placed)
    await this.#attachments.settle(readySandbox(this.#p, sandbox.id), UNKNOWN, 'leave out')
  }

  /** Takes an endpoint away; one that is not there is no error. */
  async disconnect(id: string, network: string): Promise<SandboxInfo> {
    return this.#locks.run(id, async () => {
      const sandbox = readySandbox(this.#p, id)
      // It has no endpoints and files of its own.
      if (sandbox.mode === 'container') return describeSandbox(this.#p, sandbox)
      const networkId = this.#p.endpoints.networkId({ network })
      const before = this.#p.endpoints.of(id)
      const placed = before.find((p) => p.network.id === networkId)
      if (placed && sandbox.mode === 'host') {
        throw invalid('container cannot be disconnected from host network or connected to host network')
      }
      if (placed) await this.#attachments.detach(sandbox, placed)
      await this.#attachments.settle(readySandbox(this.#p, id), placed ? before : UNKNOWN, 'leave out')
      return describeSandbox(this.#p, readySandbox(this.#p, id))
    })
  }
}

const isRelinked = ({ phase, request: was }: EndpointRecord, request: EndpointRequest): boolean =>
  phase === 'ready' && isDeepStrictEqual({ ...was, links: request.links }, request)

/** Docker's rules and words. */
function refuseUnconnectable({ mode }: SandboxRecord): void {
  if (mode === 'container') {
    throw invalid(
      'container sharing network namespace with another container or host cannot be connected to any other network',
    )
  }
  if (mode === 'host') {
    throw invalid('cannot connect container to host network - container must be created in host network mode')
  }
  if (mode === 'none') {
    throw forbidden(
      'container cannot be connected to multiple networks with one of the networks in private (none) mode',
    )
  }
}
