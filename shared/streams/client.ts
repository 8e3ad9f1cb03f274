import { Client, credentials, Metadata } from '@grpc/grpc-js'
import type { StreamRef } from '../contracts/index.ts'
import { GrpcConnection } from './connection.ts'
import { OPEN, TICKET_KEY, type WireFrame } from './definition.ts'
import type { StreamConnection } from './types.ts'

/** One channel an address: connecting costs more than a stream does. */
const clients = new Map<string, Client>()

function clientFor(address: string): Client {
  let client = clients.get(address)
  if (!client) {
    client = new Client(address, credentials.createInsecure(), {
      // A service that was restarted listens again within a second; gRPC's default is to wait that long between tries.
      'grpc.initial_reconnect_backoff_ms': 20,
      'grpc.min_reconnect_backoff_ms': 20,
      'grpc.max_reconnect_backoff_ms': 200,
      'grpc.max_receive_message_length': -1,
    })
    clients.set(address, client)
  }
  return client
}

/** Opens the stream that a command's reply offered. Errors appear where `frames` is read. */
export function openStream(ref: StreamRef): StreamConnection {
  const metadata = new Metadata({ waitForReady: true })
  metadata.set(TICKET_KEY, ref.ticket)
  const call = clientFor(ref.address).makeBidiStreamRequest<WireFrame, WireFrame>(
    OPEN.path,
    OPEN.requestSerialize,
    OPEN.responseDeserialize as (value: Buffer) => WireFrame,
    metadata,
  )
  return new GrpcConnection(call, 'client')
}

/** Closes all channels of this process. */
export function closeStreamClients(): void {
  for (const client of clients.values()) client.close()
  clients.clear()
}
