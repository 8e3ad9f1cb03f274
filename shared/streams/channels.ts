import { Client, credentials } from '@grpc/grpc-js'
import { CLIENT_WINDOW } from './wire.ts'

/** Channels kept for the next stream to an address: connecting costs more than a stream does. */
const KEPT = 2

const connect = (address: string): Client =>
  new Client(address, credentials.createInsecure(), {
    // A service that was restarted listens again within a second; gRPC's default is to wait that long between tries.
    'grpc.initial_reconnect_backoff_ms': 20,
    'grpc.min_reconnect_backoff_ms': 20,
    'grpc.max_reconnect_backoff_ms': 200,
    'grpc.max_receive_message_length': -1,
    'grpc-node.flow_control_window': CLIENT_WINDOW,
    // Otherwise all channels to an address share one connection.
    'grpc.use_local_subchannel_pool': 1,
  })

/**
 * gRPC channels by address. A stream has its channel to itself while it is open: streams that share a connection share its flow
 * control, and one whose reader is slow would slow them all.
 */
export class ChannelPool {
  readonly #idle = new Map<string, Client[]>()
  readonly #busy = new Set<Client>()

  take(address: string): Client {
    const client = this.#idle.get(address)?.pop() ?? connect(address)
    this.#busy.add(client)
    return client
  }

  giveBack(address: string, client: Client): void {
    if (!this.#busy.delete(client)) return
    const idle = this.#idle.get(address) ?? []
    this.#idle.set(address, idle)
    if (idle.length < KEPT) idle.push(client)
    else client.close()
  }

  close(): void {
    for (const client of [...this.#busy, ...[...this.#idle.values()].flat()]) client.close()
    this.#busy.clear()
    this.#idle.clear()
  }
}
