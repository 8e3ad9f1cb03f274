import { ErrorCode, headers, type MsgHdrs, type NatsConnection, NatsError } from 'nats'
import type { CallOptions, Client, Contract } from '../contracts/index.ts'
import { fromWire, invalid, unavailable, type WireError } from '../errors/index.ts'
import { currentTrace } from '../log/index.ts'
import { decode, encode } from './codec.ts'
import type { Interruptions } from './interruption.ts'
import { ERROR_HEADER, JOB_HEADER, REQUEST_HEADER, TRACE_HEADER, verbSubject } from './subjects.ts'

const NO_RESPONDERS: string = ErrorCode.NoResponders
const TIMEOUT: string = ErrorCode.Timeout
const TOO_LONG: string = ErrorCode.MaxPayloadExceeded
const DEFAULT_TIMEOUT_MS = 30_000

/** The typed client of a contract: one function a verb. Failures are GantryErrors; nobody there is `unavailable`. */
export function clientOf<C extends Contract>(
  connection: NatsConnection,
  interruptions: Interruptions,
  node: string,
  contract: C,
): Client<C> {
  const call = async (verb: string, request: unknown, own?: CallOptions): Promise<unknown> => {
    const timeout = own?.timeoutMs ?? contract.verbs[verb]?.timeoutMs ?? DEFAULT_TIMEOUT_MS
    const subject = verbSubject(node, contract.service, verb)
    const h = callHeaders(own?.request)
    let reply
    try {
      const data = encode(request)
      const options = { timeout, ...(h === undefined ? {} : { headers: h }) }
      reply = await interruptions.call(() => connection.request(subject, data, options))
    } catch (error) {
      throw translate(error, contract.service, verb, timeout)
    }
    const value = decode(reply.data)
    if (reply.headers?.get(ERROR_HEADER)) throw fromWire(value as WireError)
    return value
  }
  const entries = Object.keys(contract.verbs).map((verb) => [
    verb,
    (request: unknown, options?: CallOptions) => call(verb, request, options),
  ])
  return Object.fromEntries(entries) as Client<C>
}

function callHeaders(request: string | undefined): MsgHdrs | undefined {
  const { job, traceparent } = currentTrace()
  if (job === undefined && traceparent === undefined && request === undefined) return undefined
  const h = headers()
  if (request !== undefined) h.set(REQUEST_HEADER, request)
  if (job !== undefined) h.set(JOB_HEADER, job)
  if (traceparent !== undefined) h.set(TRACE_HEADER, traceparent)
  return h
}

/** Sending it again would not make it shorter. */
export const isTooLong = (error: unknown): boolean => error instanceof NatsError && error.code === TOO_LONG

function translate(error: unknown, service: string, verb: string, timeout: number): Error {
  const code: string = error instanceof NatsError ? error.code : ''
  if (code === NO_RESPONDERS) {
    return unavailable(`the ${service} service is not there to answer ${verb}; it may be restarting`, { cause: error })
  }
  if (code === TIMEOUT) {
    return unavailable(`the ${service} service did not answer ${verb} within ${timeout} ms`, {
      cause: error,
      details: { timeout: true },
    })
  }
  if (isTooLong(error)) {
    return invalid(`the request is too long: ${verb} can carry no more than a message of the bus`, { cause: error })
  }
  return unavailable(`${verb} could not be sent to the ${service} service: ${String(error)}`, { cause: error })
}
