import type { ServiceError } from '@grpc/grpc-js'
import { cancelled, fromWire, grpcStatus, toWire, unavailable, type WireError } from '../errors/index.ts'

/** An error as a gRPC status; the details carry the bus form, so that nothing of it is lost. */
export const toStatus = (error: unknown): { code: number; details: string } => ({
  code: grpcStatus(error),
  details: JSON.stringify(toWire(error)),
})

/** The error behind a gRPC status. */
export function fromStatus(error: unknown): Error {
  const { code, details, message } = error as Partial<ServiceError>
  if (details?.startsWith('{"kind":')) return fromWire(JSON.parse(details) as WireError)
  const text = details ?? message ?? String(error)
  return Number(code) === 1 ? cancelled(`the stream was cancelled: ${text}`) : unavailable(`the stream broke: ${text}`)
}
