import type { Received } from '../../../shared/contracts/index.ts'
import { internal } from '../../../shared/errors/index.ts'
import { CHANNEL, type StreamConnection } from '../../../shared/streams/index.ts'

type Output = Pick<StreamConnection, 'send' | 'closed'>

/**
 * Sends output from its beginning to a client that has the first bytes of each channel already: they are not sent again.
 * @throws `internal` when there was less than the client has: then it is not known what it missed.
 */
export async function sendRest(stream: Output, has: Received, send: (stream: Output) => Promise<void>): Promise<void> {
  const left = new Map<number, number>([
    [CHANNEL.stdout, has.stdout],
    [CHANNEL.stderr, has.stderr],
  ])
  await send({
    closed: stream.closed,
    async send(channel, data) {
      const dropped = Math.min(left.get(channel) ?? 0, data.length)
      left.set(channel, (left.get(channel) ?? 0) - dropped)
      if (dropped < data.length) await stream.send(channel, data.subarray(dropped))
    },
  })
  if (!stream.closed.aborted && [...left.values()].some((bytes) => bytes > 0)) {
    throw internal('the log that has the rest of the output is gone')
  }
}
