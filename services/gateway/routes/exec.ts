import { setTimeout as delay } from 'node:timers/promises'
import type { Received } from '../../../shared/contracts/index.ts'
import { invalid } from '../../../shared/errors/index.ts'
import type { Backend } from '../backend.ts'
import type { Call } from '../http/call.ts'
import { isCommandError } from '../http/error-reply.ts'
import { newId } from '../http/ids.ts'
import { created, ok, route, STREAMED, type Handler, type Route } from '../http/route.ts'
import { ExecCreate, ExecStart } from '../schemas/exec.ts'
import { hangUp, hijack } from '../streams/reply.ts'
import { streamMediaType } from '../streams/stdcopy.ts'
import { write, writeFrame } from '../streams/write.ts'
import { CHANNEL, type StreamConnection } from '../../../shared/streams/index.ts'
import { hijackTo } from './container-streams.ts'
import { terminalSize } from './containers.ts'

const create: Handler = async (call, { engine }) => {
  const body = await call.body(ExecCreate)
  if ((body.Cmd ?? []).length === 0) throw invalid('No exec command specified')
  if (call.api < 42) delete body.ConsoleSize
  const { id } = await engine['exec.create']({ id: newId(), ref: call.param('id'), body })
  return created({ Id: id })
}

/** Runs an exec: detached it answers at once, else the connection becomes its stdio. */
const start: Handler = async (call, backend) => {
  const body = await call.optionalBody(ExecStart)
  const tty = body.Tty === true
  const reply = await begin(call, backend, { detach: body.Detach === true, tty, consoleSize: body.ConsoleSize })
  if (reply === 'failed') return STREAMED
  if (!reply.stream) return ok()
  const again = async (has: Received): Promise<StreamConnection> => {
    const { stream } = await backend.engine['exec.attach']({ id: call.param('id'), has })
    return backend.open(stream)
  }
  await hijackTo(call, { connection: backend.open(reply.stream), tty: reply.tty, stdin: true, again })
  return STREAMED
}

interface StartOptions {
  readonly detach: boolean
  readonly tty: boolean
  readonly consoleSize: number[] | undefined
}

/**
 * A command that cannot be run is no failed request in Docker's API: the reason is what the client reads on the stream, and
 * the exit code (126, 127) is in the exec's inspect.
 */
async function begin(call: Call, { engine }: Backend, { detach, tty, consoleSize }: StartOptions) {
  try {
    return await engine['exec.start']({
      id: call.param('id'),
      detach,
      tty,
      ...(consoleSize?.length === 2 && call.api >= 42 ? { consoleSize } : {}),
    })
  } catch (error) {
    if (detach || !isCommandError(error)) throw error
    const { socket, holdMs } = await hijack(call, streamMediaType(!tty, call.api))
    await delay(holdMs)
    const text = Buffer.from(`${(error as Error).message}\r\n`)
    await (tty ? write(socket, text) : writeFrame(socket, CHANNEL.stdout, text))
    hangUp(socket)
    return 'failed'
  }
}

const resize: Handler = async (call, { engine }) => {
  await engine['exec.resize']({ id: call.param('id'), ...terminalSize(call) })
  return ok()
}

const inspect: Handler = async (call, { engine }) => ok(await engine['exec.inspect']({ id: call.param('id') }))

export const execs: readonly Route[] = [
  route('POST', '/containers/:id/exec', 'exec create', create),
  route('POST', '/exec/:id/start', 'exec start', start),
  route('POST', '/exec/:id/resize', 'exec resize', resize),
  route('GET', '/exec/:id/json', 'exec inspect', inspect),
]
