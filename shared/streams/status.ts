import type { ServiceError } from '@grpc/grpc-js'
import { cancelled, grpcStatus, unavailable } from '../errors/index.ts'

/** An error as a gRPC status. */
export const toStatus = (error: unknown): { code: number; details: string } => ({
  code: grpcStatus(error),
  details: error instanceof Error ? error.message : String(error),
})

export const broken = (why: string): Error => unavailable(`the stream broke: ${why}`)

/** The error behind a gRPC status. */
export function fromStatus(error: unknown): Error {
  const { code, details, message } = error as Partial<ServiceError>
  const text = details ?? message ?? String(error)
  return Number(code) === 1 ? cancelled(`the stream was cancelled: ${text}`) : broken(text)
}
