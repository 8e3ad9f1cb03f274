import type { Received } from '../../../shared/contracts/index.ts'
import { invalid } from '../../../shared/errors/index.ts'
import type { Call } from '../http/call.ts'
import { STREAMED, type Handler } from '../http/route.ts'
import { hangUp, hijack, startReply } from '../streams/reply.ts'
import { splice, type SpliceOptions } from '../streams/splice.ts'
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
  const request = {
    ref: call.param('id'),
    stdin,
    stdout: query.bool('stdout'),
    stderr: query.bool('stderr'),
    logs: query.bool('logs'),
    stream: query.bool('stream'),
    detachKeys: query.text('detachKeys'),
  }
  const { stream, tty, point } = await backend.engine['container.attach'](request)
  const again = async (sent: Received): Promise<StreamConnection> => {
    const reply = await backend.engine['container.attach']({
      ...request,
      ...(point && { resume: { ...point, ...sent } }),
    })
    return backend.open(reply.stream)
  }
  const stdio = { connection: backend.open(stream), tty, stdin }
  await hijackTo(call, request.stream && point ? { ...stdio, again } : stdio)
  return STREAMED
}

interface Stdio {
  readonly connection: StreamConnection
  readonly tty: boolean
  readonly stdin: boolean
  readonly again?: NonNullable<SpliceOptions['again']>
}

/** Gives the client's connection to a container's stdio, until the output ends. */
export async function hijackTo(call: Call, { connection, tty, ...how }: Stdio): Promise<void> {
  const { socket, holdMs } = await hijack(call, streamMediaType(!tty, call.api))
  try {
    await splice(socket, socket, connection, { ...how, multiplexed: !tty, holdMs })
  } catch (error) {
    call.reply.log.warn({ err: error }, 'a hijacked stream broke')
    // The header is out: Docker's way to say it is a frame of the error stream, by which a client does not take this for the end.
    const text = Buffer.from(`the stream to the process broke: ${(error as Error).message}\n`)
    await (tty ? write(socket, text) : writeFrame(socket, SYSTEM_ERROR, text))
  }
  hangUp(socket)
}
