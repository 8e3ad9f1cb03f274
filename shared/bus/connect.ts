import { readFileSync } from 'node:fs'
import { connect, type NatsConnection } from 'nats'
import { invalid } from '../errors/index.ts'
import type { Logger } from '../log/index.ts'

export interface Credentials {
  readonly user: string
  readonly password: string
}

export interface BusOptions {
  /** `nats://127.0.0.1:4222` */
  readonly url: string
  readonly credentials: Credentials
  readonly node: string
  readonly log: Logger
}

/** Reads a credentials file: JSON `{"user": ..., "password": ...}`. */
export function readCredentials(path: string): Credentials {
  const value = JSON.parse(readFileSync(path, 'utf8')) as Partial<Credentials>
  if (typeof value.user !== 'string' || typeof value.password !== 'string') {
    throw invalid(`${path} must hold {"user": "...", "password": "..."}`)
  }
  return { user: value.user, password: value.password }
}

/** Connects, and goes on connecting for ever: a bus that is away makes calls `unavailable`, it ends no service. */
export async function connectNats(options: BusOptions): Promise<NatsConnection> {
  const { url, credentials, log } = options
  const connection = await connect({
    servers: url,
    user: credentials.user,
    pass: credentials.password,
    name: credentials.user,
    inboxPrefix: `_INBOX_${credentials.user}`,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 100,
    reconnectJitter: 50,
    waitOnFirstConnect: true,
    pingInterval: 20_000,
    // A stack trace taken for every call, for the errors of a few.
    noAsyncTraces: true,
  })
  void watch(connection, log)
  return connection
}

async function watch(connection: NatsConnection, log: Logger): Promise<void> {
  for await (const { type, data } of connection.status()) {
    const kind: string = type
    if (kind === 'disconnect') log.warn('bus connection lost')
    else if (kind === 'reconnect') log.info('bus connection is back')
    else if (kind === 'error') log.error({ error: JSON.stringify(data) }, 'bus error')
  }
}
