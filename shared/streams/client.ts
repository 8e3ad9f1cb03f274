import { Metadata } from '@grpc/grpc-js'
import type { StreamRef } from '../contracts/index.ts'
import { ChannelPool } from './channels.ts'
import { decodeFrame, encodeFrame } from './codec.ts'
import { GrpcConnection } from './connection.ts'
import type { StreamConnection } from './types.ts'
import { OPEN_PATH, TICKET_KEY } from './wire.ts'

const channels = new ChannelPool()

/** Opens the stream that a command's reply offered. Errors appear where `frames` is read. */
export function openStream(ref: StreamRef): StreamConnection {
  const metadata = new Metadata({ waitForReady: true })
  metadata.set(TICKET_KEY, ref.ticket)
  const client = channels.take(ref.address)
  const call = client.makeBidiStreamRequest(OPEN_PATH, encodeFrame, decodeFrame, metadata)
  // The last thing that a call tells, and that it always tells.
  call.once('status', () => channels.giveBack(ref.address, client))
  return new GrpcConnection(call, 'client')
}

/** Closes all channels of this process. */
export function closeStreamClients(): void {
  channels.close()
}
