import { isKind } from '../errors/index.ts'

/**
 * Whether nobody took a request: the bus found no responder, it could not be sent, or the service was draining. An `unavailable` that a
 * service itself answers (a driver that cannot run, a lower service that is away) and a time-out are final.
 */
export const isAway = (error: unknown): boolean =>
  isKind(error, 'unavailable') &&
  error.details?.['timeout'] !== true &&
  (error.cause !== undefined || error.details?.['draining'] === true)
