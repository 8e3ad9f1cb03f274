import { ERROR_KINDS, GantryError, type ErrorKind, toGantryError } from './gantry-error.ts'

/** Error kind to HTTP status, as the Docker Engine API uses them. 499 is nginx's "client closed request". */
const HTTP_STATUS: Record<ErrorKind, number> = {
  'not-found': 404,
  invalid: 400,
  conflict: 409,
  unauthorized: 401,
  forbidden: 403,
  'not-modified': 304,
  'not-implemented': 501,
  unavailable: 503,
  cancelled: 499,
  internal: 500,
}

/** Error kind to gRPC status code (https://grpc.io/docs/guides/status-codes/). */
const GRPC_STATUS: Record<ErrorKind, number> = {
  'not-found': 5,
  invalid: 3,
  conflict: 6,
  unauthorized: 16,
  forbidden: 7,
  'not-modified': 9,
  'not-implemented': 12,
  unavailable: 14,
  cancelled: 1,
  internal: 13,
}

export const httpStatus = (error: unknown): number => HTTP_STATUS[toGantryError(error).kind]

export const grpcStatus = (error: unknown): number => GRPC_STATUS[toGantryError(error).kind]

/** The form in which an error travels on the bus and in gRPC metadata. */
export interface WireError {
  kind: ErrorKind
  message: string
  details?: Record<string, unknown>
}

export function toWire(error: unknown): WireError {
  const e = toGantryError(error)
  return e.details ? { kind: e.kind, message: e.message, details: e.details } : { kind: e.kind, message: e.message }
}

export function fromWire(wire: WireError): GantryError {
  const kind = ERROR_KINDS.includes(wire.kind) ? wire.kind : 'internal'
  return new GantryError(kind, wire.message, wire.details ? { details: wire.details } : undefined)
}
