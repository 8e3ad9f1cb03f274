import type { Backend } from '../backend.ts'
import type { Call } from './call.ts'

/** A finished reply: JSON, or no body. */
export interface JsonReply {
  readonly status: number
  readonly body?: unknown
  /** The same as a JSON text with its newline. */
  readonly text?: string
}

/** The handler has written, or will write, the reply itself. */
export const STREAMED = Symbol('streamed')

export type Reply = JsonReply | typeof STREAMED

export type Handler = (call: Call, backend: Backend) => Promise<Reply>

export type Method = 'GET' | 'HEAD' | 'POST' | 'PUT' | 'DELETE'

/** One line of the API: path without version prefix, `:name` for a part, `*` for the rest. */
export interface Route {
  readonly method: Method
  readonly path: string
  /** What it is called in logs and in "is not implemented yet". */
  readonly name: string
  readonly handle: Handler
}

export const route = (method: Method, path: string, name: string, handle: Handler): Route => ({
  method,
  path,
  name,
  handle,
})

export const ok = (body?: unknown): JsonReply => ({ status: 200, body })
export const okText = (text: string): JsonReply => ({ status: 200, text })
export const created = (body?: unknown): JsonReply => ({ status: 201, body })
export const noContent = (): JsonReply => ({ status: 204 })
