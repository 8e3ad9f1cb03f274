import { setTimeout as sleep } from 'node:timers/promises'
import type { NatsConnection } from 'nats'
import type { Logger } from '../log/index.ts'

const RETRY_MS = 500

/**
 * Does `work` whenever the connection was lost and is back, until it succeeds: JetStream may need a while after its server listens. Ends
 * with the connection.
 */
export async function afterReconnects(
  connection: Pick<NatsConnection, 'status' | 'isClosed'>,
  work: () => Promise<void>,
  log: Logger,
): Promise<void> {
  for await (const { type } of connection.status()) {
    const kind: string = type
    if (kind !== 'reconnect') continue
    for (let done = false; !done && !connection.isClosed();) {
      done = await work().then(
        () => true,
        (error: unknown) => {
          log.warn({ err: error }, 'streams not restored yet')
          return false
        },
      )
      if (!done) await sleep(RETRY_MS, undefined, { ref: false })
    }
  }
}
