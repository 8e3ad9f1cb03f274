/**
 * The one taxonomy of errors. Every error that crosses a boundary (bus, gRPC, HTTP) is one of these kinds; its
 * message says what was wrong with which input and, where there is something to do, what to do.
 */
export const ERROR_KINDS = [
  'not-found',
  'invalid',
  'conflict',
  'unauthorized',
  'forbidden',
  'not-modified',
  'not-implemented',
  'unavailable',
  'cancelled',
  'internal',
] as const
export type ErrorKind = (typeof ERROR_KINDS)[number]

/** An error of a known kind. `details` is plain JSON for programs (for example `{field: 'HostConfig.Memory'}`). */
export class GantryError extends Error {
  readonly kind: ErrorKind
  readonly details: Record<string, unknown> | undefined

  constructor(kind: ErrorKind, message: string, options?: { cause?: unknown; details?: Record<string, unknown> }) {
    super(message, options?.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'GantryError'
    this.kind = kind
    this.details = options?.details
  }
}

type Make = (message: string, options?: { cause?: unknown; details?: Record<string, unknown> }) => GantryError
const maker =
  (kind: ErrorKind): Make =>
  (message, options) =>
    new GantryError(kind, message, options)

export const notFound = maker('not-found')
export const invalid = maker('invalid')
export const conflict = maker('conflict')
export const unauthorized = maker('unauthorized')
export const forbidden = maker('forbidden')
export const notModified = maker('not-modified')
export const notImplemented = maker('not-implemented')
export const unavailable = maker('unavailable')
export const cancelled = maker('cancelled')
export const internal = maker('internal')

export const isKind = (error: unknown, kind: ErrorKind): error is GantryError =>
  error instanceof GantryError && error.kind === kind

/** Anything that was thrown, as a GantryError; an error of unknown class becomes `internal` and keeps its message. */
export function toGantryError(error: unknown): GantryError {
  if (error instanceof GantryError) return error
  if (error instanceof Error) return internal(error.message, { cause: error })
  return internal(String(error))
}
