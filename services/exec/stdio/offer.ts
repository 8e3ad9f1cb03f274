import type { StreamRef } from '../../../shared/contracts/index.ts'
import type { StreamConnection, StreamServer } from '../../../shared/streams/index.ts'
import type { Attachment } from './attachment.ts'

/** A client that asked for a stream but has not opened it by then will not come. */
const OPEN_WITHIN_MS = 60_000

/** Offers a stream for an attachment. `before` runs when it is opened, `leave` once, when the client has left or will not come. */
export function offerAttachment(
  streams: StreamServer,
  attachment: Attachment,
  hooks: { before?: (stream: StreamConnection) => Promise<void>; leave(): void },
): StreamRef {
  const leave = (): void => {
    attachment.abandon()
    hooks.leave()
  }
  const late = setTimeout(leave, OPEN_WITHIN_MS).unref()
  return streams.offer(async (stream) => {
    clearTimeout(late)
    try {
      await hooks.before?.(stream)
      await attachment.serve(stream)
    } finally {
      leave()
    }
  })
}
