import type { StreamRef } from '../../../shared/contracts/index.ts'
import { CHANNEL, type StreamConnection } from '../../../shared/streams/index.ts'
import type { Backend } from '../backend.ts'
import type { Call } from '../http/call.ts'
import { ok, STREAMED, type Reply } from '../http/route.ts'
import { startReply } from './reply.ts'
import { finish, write, type Sink } from './write.ts'

/**
 * A request whose body is an archive (load, import): the body goes to the service, its progress messages come back as JSON
 * lines. An error before the first message is an ordinary error reply, a later one is Docker's error message.
 */
export async function progressReply(call: Call, backend: Backend, ref: StreamRef): Promise<Reply> {
  const connection = openFor(call, backend, ref)
  void sendBody(call, connection)
  let sink: Sink | undefined
  try {
    for await (const { data } of connection.frames) {
      if (data.length === 0) continue
      sink ??= startReply(call, 'application/json')
      if (!(await write(sink, data))) break
    }
  } catch (error) {
    if (!sink) throw error
    const { message } = error as Error
    await write(sink, `${JSON.stringify({ errorDetail: { message }, error: message })}\r\n`)
  }
  if (!sink) return ok()
  finish(sink)
  return STREAMED
}

/** A reply that is an archive. An error on the way breaks the connection: a cut archive must not look whole. */
export async function tarReply(call: Call, backend: Backend, ref: StreamRef): Promise<Reply> {
  const connection = openFor(call, backend, ref)
  let sink: Sink | undefined
  try {
    for await (const { data } of connection.frames) {
      if (data.length === 0) continue
      sink ??= startReply(call, 'application/x-tar')
      if (!(await write(sink, data))) break
    }
  } catch (error) {
    if (!sink) throw error
    sink.destroy()
    return STREAMED
  }
  sink ??= startReply(call, 'application/x-tar')
  finish(sink)
  return STREAMED
}

function openFor(call: Call, backend: Backend, ref: StreamRef): StreamConnection {
  const connection = backend.open(ref)
  call.over.addEventListener('abort', () => connection.fail(undefined))
  return connection
}

/** Sends the request's body. A client that breaks off in the middle cancels the work: half an archive is none. */
async function sendBody(call: Call, connection: StreamConnection): Promise<void> {
  try {
    for await (const chunk of call.raw.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      if (connection.closed.aborted) break
      await connection.send(CHANNEL.stdin, chunk)
    }
    await connection.sendEof(CHANNEL.stdin)
    // What the service did not want to see is read all the same: the client may be writing still.
    call.raw.resume()
  } catch (error) {
    connection.fail(error)
  }
}
