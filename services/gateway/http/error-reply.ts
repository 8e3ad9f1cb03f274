import { httpStatus, toGantryError, type GantryError } from '../../../shared/errors/index.ts'
import { BodyTooLarge } from './body.ts'

export interface ErrorReply {
  readonly status: number
  /** Absent for 304, which has no body. */
  readonly message?: string
}

/** Any error as the Docker API answers it: a status and `{"message"}`. Details are for programs on the bus, not for HTTP. */
export function errorReply(error: unknown): ErrorReply {
  if (error instanceof BodyTooLarge) return { status: 413, message: error.message }
  const status = frameworkStatus(error) ?? statusOf(toGantryError(error))
  return status === 304 ? { status } : { status, message: error instanceof Error ? error.message : String(error) }
}

/** A command that is missing or not executable is the caller's mistake: Docker answers 400, whatever kind the error is. */
const statusOf = (error: GantryError): number => (isCommandError(error) ? 400 : httpStatus(error))

export const isCommandError = (error: unknown): boolean => {
  const code = toGantryError(error).details?.['exitCode']
  return code === 126 || code === 127
}

/** Fastify's own refusals (a malformed URL or media type). */
function frameworkStatus(error: unknown): number | undefined {
  const status = (error as { statusCode?: unknown }).statusCode
  if (typeof status !== 'number' || status < 400 || status > 499) return undefined
  return status === 413 ? 413 : 400
}
