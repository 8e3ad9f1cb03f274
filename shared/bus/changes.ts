import type { NatsConnection } from 'nats'
import { changesSubject } from './subjects.ts'

/**
 * Calls `told` when a service has changed what it shows. The bus keeps the order in which a service sends: whoever hears of a change in
 * any other way (a reply, an event) has been told of it before. What was sent while the bus was away may be lost: that counts
 * as a change.
 */
export function hearChanges(
  connection: NatsConnection,
  node: string,
  service: string,
  told: () => void,
): { stop(): Promise<void> } {
  const subscription = connection.subscribe(changesSubject(node, service), { callback: () => told() })
  const watch = async (): Promise<void> => {
    for await (const { type } of connection.status()) {
      if (subscription.isClosed()) return
      const kind: string = type
      if (kind === 'disconnect' || kind === 'reconnect') told()
    }
  }
  void watch()
  return {
    async stop() {
      subscription.unsubscribe()
    },
  }
}
