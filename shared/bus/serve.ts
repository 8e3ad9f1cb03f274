import { randomFillSync } from 'node:crypto'
import { headers, type Msg, type NatsConnection, type ServiceMsg } from 'nats'
import type { TLocalizedValidationError } from 'typebox/error'
import { Compile } from 'typebox/compile'
import type { Contract, Handlers, VerbSpec } from '../contracts/index.ts'
import { invalid, internal, toWire, unavailable } from '../errors/index.ts'
import { lazy } from '../lazy.ts'
import { type Logger, withTrace } from '../log/index.ts'
import { decode, encode } from './codec.ts'
import { ERROR_HEADER, JOB_HEADER, REQUEST_HEADER, TRACE_HEADER, verbSubject } from './subjects.ts'

type Handler = (request: unknown, call: object) => Promise<unknown>

/** The first useful complaint about a value, with the path of the field that it is about. */
function complaint(errors: readonly TLocalizedValidationError[]): string {
  const worst = errors.find((e) => e.keyword !== 'anyOf' && e.keyword !== 'const') ?? errors[0]
  return `${worst?.instancePath.slice(1).replaceAll('/', '.') || 'request'} ${worst?.message ?? 'is not valid'}`
}

/**
 * Serves a contract with the NATS services framework (discovery, ping and statistics come with it). The framework calls handlers
 * inside a synchronous try: an async rejection would never be answered. So this wrapper owns the life of a request: decode, check,
 * run, and answer exactly once, result or error.
 */
export async function serveContract<C extends Contract>(
  connection: NatsConnection,
  node: string,
  contract: C,
  handlers: Handlers<C>,
  log: Logger,
): Promise<{ stop(): Promise<void> }> {
  const service = await connection.services.add({
    name: `gantry-${contract.service}`,
    version: contract.version,
    description: `Gantry ${contract.service} service of node ${node}`,
    metadata: { node, pid: String(process.pid) },
  })
  const underWay = new Set<Promise<void>>()
  let draining = false

  for (const [verb, spec] of Object.entries(contract.verbs)) {
    const handler = (handlers as Record<string, Handler>)[verb]
    if (!handler) throw internal(`${contract.service} has no handler for its verb ${verb}`)
    const answer = answerer(verb, spec, handler, log, () => draining)
    service.addEndpoint(verb.replaceAll('.', '_'), {
      subject: verbSubject(node, contract.service, verb),
      handler: (error, message) => {
        if (error) {
          log.error({ err: error, verb }, 'bus subscription failed')
          return
        }
        const work = answer(message).finally(() => underWay.delete(work))
        underWay.add(work)
      },
    })
  }
  await connection.flush()
  return {
    async stop() {
      draining = true
      await service.stop()
      await Promise.allSettled(underWay)
    },
  }
}

function answerer(
  verb: string,
  spec: VerbSpec,
  handler: Handler,
  log: Logger,
  draining: () => boolean,
): (message: ServiceMsg) => Promise<void> {
  const check = lazy(() => Compile(spec.request))
  return async (message) => {
    const job = message.headers?.get(JOB_HEADER) || undefined
    const traceparent = message.headers?.get(TRACE_HEADER) || undefined
    try {
      if (draining()) throw unavailable('the service is shutting down', { details: { draining: true } })
      const request = decode(message.data)
      if (!check().Check(request)) throw invalid(`${verb}: ${complaint(check().Errors(request))}`)
      const trace = { job, traceparent, request: message.headers?.get(REQUEST_HEADER) || undefined }
      const reply = await withTrace(trace, () => handler(request, { verb, ...trace }))
      respond(message, encode(reply ?? {}))
    } catch (error) {
      const wire = toWire(error)
      if (wire.kind === 'internal') log.error({ err: error, verb }, 'verb failed')
      const h = headers()
      h.set(ERROR_HEADER, wire.kind)
      message.respond(encode(wire), { headers: h })
    }
  }
}

/** A reply that is too long for the bus must still be answered. */
function respond(message: Msg | ServiceMsg, data: Uint8Array): void {
  message.respond(data)
}

const TRACE_BYTES = 24
const random = Buffer.alloc(256 * TRACE_BYTES)
let used = random.length

/** A W3C trace context (https://www.w3.org/TR/trace-context/): version, trace id, parent id, flags. */
export function newTraceparent(): string {
  // Random bytes cost a system call: each is for many.
  if (used === random.length) {
    randomFillSync(random)
    used = 0
  }
  const id = random.toString('hex', used, (used += TRACE_BYTES))
  return `00-${id.slice(0, 32)}-${id.slice(32)}-01`
}
