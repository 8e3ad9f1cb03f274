import { randomBytes } from 'node:crypto'
import { chmodSync, mkdirSync, rmSync } from 'node:fs'
import { dirname } from 'node:path'
import { Server, ServerCredentials, type ServerDuplexStream } from '@grpc/grpc-js'
import type { StreamRef } from '../contracts/index.ts'
import { notFound } from '../errors/index.ts'
import type { Logger } from '../log/index.ts'
import { decodeFrame, encodeFrame, type ReceivedFrame, type WireFrame } from './codec.ts'
import { GrpcConnection } from './connection.ts'
import type { StreamConnection, StreamServer } from './types.ts'
import { OPEN_PATH, TICKET_KEY } from './wire.ts'

const TICKET_LIFE_MS = 60_000

/** Serves byte streams on a unix socket. A ticket opens one stream, once, within a minute. */
export async function createStreamServer(options: { path: string; log: Logger }): Promise<StreamServer> {
  const offers = new Map<string, (connection: StreamConnection) => Promise<void>>()
  const expiries = new Map<string, NodeJS.Timeout>()

  const take = (ticket: string): ((connection: StreamConnection) => Promise<void>) | undefined => {
    const serve = offers.get(ticket)
    offers.delete(ticket)
    clearTimeout(expiries.get(ticket))
    expiries.delete(ticket)
    return serve
  }

  const open = (call: ServerDuplexStream<ReceivedFrame, WireFrame>): void => {
    const serve = take(String(call.metadata.get(TICKET_KEY)[0] ?? ''))
    const connection = new GrpcConnection(call, 'server')
    if (!serve) {
      connection.fail(notFound('this stream ticket is unknown, used or older than a minute: ask again'))
      return
    }
    serve(connection).then(
      () => connection.end(),
      (error: unknown) => {
        if (!connection.closed.aborted) options.log.debug({ err: error }, 'stream failed')
        connection.fail(error)
      },
    )
  }

  const server = new Server()
  server.register(OPEN_PATH, open, encodeFrame, decodeFrame, 'bidi')
  mkdirSync(dirname(options.path), { recursive: true, mode: 0o700 })
  rmSync(options.path, { force: true })
  await new Promise<void>((resolve, reject) => {
    server.bindAsync(`unix:${options.path}`, ServerCredentials.createInsecure(), (error) =>
      error ? reject(error) : resolve(),
    )
  })
  chmodSync(options.path, 0o600)

  return {
    offer(serve): StreamRef {
      const ticket = randomBytes(24).toString('base64url')
      offers.set(ticket, serve)
      const timer = setTimeout(() => take(ticket), TICKET_LIFE_MS)
      timer.unref()
      expiries.set(ticket, timer)
      return { address: `unix:${options.path}`, ticket }
    },
    async close() {
      for (const ticket of [...offers.keys()]) take(ticket)
      await new Promise<void>((resolve) => {
        const force = setTimeout(() => {
          server.forceShutdown()
          resolve()
        }, 500)
        server.tryShutdown(() => {
          clearTimeout(force)
          resolve()
        })
      })
    },
  }
}
