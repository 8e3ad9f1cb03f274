import type { IncomingMessage } from 'node:http'
import { cancelled, invalid } from '../../../shared/errors/index.ts'
import { bufferedBody } from './upgrade.ts'

/** The longest JSON body. A longer one is refused whole, never cut. */
export const MAX_JSON_BYTES = 8 * 1024 * 1024

/** HTTP 413: the one status that the error taxonomy has no kind for. */
export class BodyTooLarge extends Error {
  constructor(limit: number) {
    super(`the request body is larger than ${limit / 1024 / 1024} MB`)
    this.name = 'BodyTooLarge'
  }
}

/** The whole body, at most `limit` bytes. */
export async function readBody(request: IncomingMessage, limit = MAX_JSON_BYTES): Promise<Buffer> {
  const buffered = bufferedBody(request)
  if (buffered) return buffered
  if (Number(request.headers['content-length'] ?? 0) > limit) throw new BodyTooLarge(limit)
  const chunks: Buffer[] = []
  let length = 0
  try {
    for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      length += chunk.length
      if (length > limit) throw new BodyTooLarge(limit)
      chunks.push(chunk)
    }
  } catch (error) {
    if (error instanceof BodyTooLarge) throw error
    throw cancelled('the client went away before its request was complete', { cause: error })
  }
  return chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks)
}

/** A JSON body's value, undefined when there is no body; errors in the Docker daemon's words. */
export async function readJson(request: IncomingMessage): Promise<unknown> {
  const body = await readBody(request)
  if (body.length === 0) return undefined
  checkContentType(request.headers['content-type'])
  try {
    return JSON.parse(body.toString()) as unknown
  } catch (error) {
    throw invalid(`invalid JSON: ${(error as Error).message}`)
  }
}

function checkContentType(header: string | undefined): void {
  const type = header?.split(';')[0]?.trim().toLowerCase() ?? ''
  if (type === 'application/json') return
  throw invalid(
    type === ''
      ? "a Content-Type header is missing: it must be 'application/json'"
      : `unsupported Content-Type header (${type}): must be 'application/json'`,
  )
}
