import type { StreamRef } from '../../../shared/contracts/index.ts'
import type { StreamConnection, StreamServer } from '../../../shared/streams/index.ts'
import type { Attachment } from './attachment.ts'

/** A client that asked for a stream but has not opened it by then will not come; until then it may hold up the process's output. */
const OPEN_WITHIN_MS = 10_000

export type Send = (stream: StreamConnection) => Promise<void>

/**
 * Offers a stream for an attachment. `before` runs when it is opened; `output`, beside it, sends output that does not come by way of the
 * attachment; `leave` runs once, when the client has left or will not come.
 */
export function offerAttachment(
  streams: StreamServer,
  attachment: Attachment,
  hooks: { before?: Send; output?: Send; leave(): void },
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
      const output = hooks.output?.(stream)
      const left = attachment.serve(stream).then((how) => (how === 'left' ? undefined : output))
      await (output ? Promise.race([output, left]) : left)
    } finally {
      leave()
    }
  })
}
