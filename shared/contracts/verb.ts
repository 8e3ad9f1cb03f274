import type { Static, TSchema } from 'typebox'

/** Who may send a verb: bus permissions are derived from this list. `admin` is the operator's CLI and the tests. */
export type Caller = 'gateway' | 'engine' | 'admin'

export interface VerbSpec<Req extends TSchema = TSchema, Res extends TSchema = TSchema> {
  /** One sentence: what it does, and what makes repeating it harmless. */
  readonly summary: string
  readonly request: Req
  readonly reply: Res
  readonly callers: readonly Caller[]
  /** Milliseconds a caller waits before it gives up with `unavailable`. Default 30,000. */
  readonly timeoutMs?: number
}

/**
 * A service's verbs. The bus subject of a verb is `gantry.<node>.<service>.<verb>`; server and typed client both come
 * from this declaration, and the schemas are exported as JSON Schema (they are JSON Schema).
 */
export interface Contract<V extends Record<string, VerbSpec> = Record<string, VerbSpec>> {
  readonly service: string
  readonly version: string
  readonly verbs: V
}

export const verb = <Req extends TSchema, Res extends TSchema>(spec: VerbSpec<Req, Res>): VerbSpec<Req, Res> => spec

export const contract = <V extends Record<string, VerbSpec>>(
  service: string,
  version: string,
  verbs: V,
): Contract<V> => ({ service, version, verbs })

export type RequestOf<V extends VerbSpec> = Static<V['request']>
export type ReplyOf<V extends VerbSpec> = Static<V['reply']>

/** What a service implements: one async function for each verb. Every verb is idempotent: callers choose ids. */
export type Handlers<C extends Contract> = {
  [K in keyof C['verbs']]: (request: RequestOf<C['verbs'][K]>, call: CallInfo) => Promise<ReplyOf<C['verbs'][K]>>
}

/** What a caller uses: the same functions, over the bus. */
export type Client<C extends Contract> = {
  [K in keyof C['verbs']]: (request: RequestOf<C['verbs'][K]>, options?: CallOptions) => Promise<ReplyOf<C['verbs'][K]>>
}

export interface CallOptions {
  /** Overrides the verb's own `timeoutMs`. */
  timeoutMs?: number
  /** The caller's id of this request. Sent again with the same, it is answered with what became of it. */
  request?: string
}

export interface CallInfo {
  readonly verb: string
  readonly job: string | undefined
  readonly traceparent: string | undefined
}
