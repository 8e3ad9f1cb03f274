import { invalid } from '../../../shared/errors/index.ts'
import type { Call } from '../http/call.ts'
import { STREAMED, type Handler } from '../http/route.ts'
import { hangUp, hijack, startReply } from '../streams/reply.ts'
import { splice } from '../streams/splice.ts'
import { streamMediaType, SYSTEM_ERROR } from '../streams/stdcopy.ts'
import { finish, write, writeFrame } from '../streams/write.ts'
import type { StreamConnection } from '../../../shared/streams/index.ts'

/** The container's log; with `follow` it goes on until the container ends. */
export const logs: Handler = async (call, backend) => {
  const { query } = call
  const [stdout, stderr] = [query.bool('stdout'), query.bool('stderr')]
  if (!stdout && !stderr) throw invalid('Bad parameters: you must choose at least one stream')
  const tail = query.text('tail')
  const { stream, tty } = await backend.engine['container.logs']({
    ref: call.param('id'),
    stdout,
    stderr,
    since: query.time('since') ?? 0,
    until: query.time('until') ?? 0,
    tail: tail === 'all' ? -1 : (query.int('tail') ?? -1),
    follow: query.bool('follow'),
    timestamps: query.bool('timestamps'),
    details: query.bool('details'),
  })
  const sink = startReply(call, streamMediaType(!tty, call.api))
  const connection = backend.open(stream)
  call.over.addEventListener('abort', () => connection.fail(undefined))
  try {
    for await (const { channel, data } of connection.frames) {
      if (data.length === 0) continue
      const open = tty ? await write(sink, data) : await writeFrame(sink, channel, data)
      if (!open) break
    }
  } catch (error) {
    // The header is out: Docker's way to say it is a frame of the error stream.
    const text = Buffer.from(`Error grabbing logs: ${(error as Error).message}\n`)
    await (tty ? write(sink, text) : writeFrame(sink, SYSTEM_ERROR, text))
  }
  finish(sink)
  return STREAMED
}

/** Stdio of a container on the hijacked connection. */
export const attach: Handler = async (call, backend) => {
  const { query } = call
  const stdin = query.bool('stdin')
  const { stream, tty } = await backend.engine['container.attach']({
    ref: call.param('id'),
    stdin,
    stdout: query.bool('stdout'),
    stderr: query.bool('stderr'),
    logs: query.bool('logs'),
    stream: query.bool('stream'),
    detachKeys: query.text('detachKeys'),
  })
  await hijackTo(call, backend.open(stream), tty, stdin)
  return STREAMED
}

/** Gives the client's connection to a container's stdio, until the output ends. */
export async function hijackTo(call: Call, connection: StreamConnection, tty: boolean, stdin: boolean): Promise<void> {
  const { socket, holdMs } = await hijack(call, streamMediaType(!tty, call.api))
  try {
    await splice(socket, socket, connection, { multiplexed: !tty, stdin, holdMs })
  } catch (error) {
    call.reply.log.debug({ err: error }, 'a hijacked stream broke')
  }
  hangUp(socket)
}
