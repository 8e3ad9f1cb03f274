import { closeSync, writeSync } from 'node:fs'
import { Socket } from 'node:net'
import { internal, unavailable } from '../errors/index.ts'
import { isCode } from '../kernel/libc.ts'
import { makePipe, reap, spawnDetached } from '../kernel/spawn.ts'

/** How one shim is started. See conmon(8). */
export interface ShimOptions {
  /** Path of conmon. */
  readonly conmon: string
  /** Path of the OCI runtime. */
  readonly runtime: string
  readonly runtimeArgs: readonly string[]
  /** The container's name for the runtime; also the name of the exit file. */
  readonly id: string
  /** Holds the attach socket and the control FIFO; for a container it is the OCI bundle. */
  readonly dir: string
  readonly exitDir: string
  /** Arguments that say where the output is logged. */
  readonly logArgs: readonly string[]
  readonly terminal: boolean
  readonly stdin: boolean
  readonly leaveStdinOpen: boolean
  readonly systemdCgroup: boolean
  /** The file with the OCI process: `exec` in a running container. Absent: `create`. */
  readonly processFile?: string
}

/** The process runs (exec) or waits for its start (create). */
export interface ShimStarted {
  /** Host pid of the container's process. */
  readonly pid: number
  /** Exec only: the exit code, when the process has ended; undefined when the shim died without a word. */
  readonly ended: Promise<number | undefined>
}

/** The runtime refused; `message` is what it wrote to stderr, as it wrote it. */
export class RuntimeFailure extends Error {}

/** Files that conmon and the runtime leave in ShimOptions.dir. */
export const SHIM_FILES = { attach: 'attach', control: 'ctl', shimPid: 'shim.pid', pid: 'pid' } as const

/** What the shim and the runtime need of an environment. UTC: the log's times are then all of one form. */
const ENV = ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', 'TZ=UTC', 'LC_ALL=C']

/** In the order in which they are handed over. */
const SYNC_FD = 3
const START_FD = 4
const ATTACH_FD = 5

/**
 * Starts conmon, which daemonizes (it is nobody's child and in a session of its own: it outlives this process) and runs the
 * runtime. Resolves when the runtime has answered; learns that from conmon's sync pipe.
 *
 * With `processFile` and `attached`, conmon waits with reading the process's output until `attached` has resolved: nothing of it
 * is lost to whoever connects to the attach socket meanwhile.
 */
export async function startShim(options: ShimOptions, attached?: () => Promise<void>): Promise<ShimStarted> {
  const env = [...ENV, `_OCI_SYNCPIPE=${SYNC_FD}`]
  const [syncRead, syncWrite] = makePipe()
  const fds = [syncWrite]
  const handshake = attached ? { start: makePipe(), attach: makePipe() } : undefined
  if (handshake) {
    fds.push(handshake.start[0], handshake.attach[1])
    env.push(`_OCI_STARTPIPE=${START_FD}`, `_OCI_ATTACHPIPE=${ATTACH_FD}`)
  }
  const messages = new MessageReader(syncRead)
  try {
    const args = shimArguments(options, handshake !== undefined)
    // conmon leaves a file `oom` in its working directory when the OOM killer struck.
    uncollected.add(spawnDetached({ path: options.conmon, args, env, cwd: options.dir, fds }))
  } catch (error) {
    messages.close()
    if (handshake) for (const fd of [handshake.start[1], handshake.attach[0]]) closeSync(fd)
    if (isCode(error, 'ENOENT')) throw unavailable('conmon is not installed: apt-get install conmon', { cause: error })
    throw error
  } finally {
    for (const fd of fds) closeSync(fd)
  }
  if (handshake && attached) {
    const [, start] = handshake.start
    const ready = new MessageReader(handshake.attach[0])
    try {
      // The first byte lets conmon go on to the runtime, the second to the process's output.
      writeSync(start, '\n')
      if (await ready.next()) {
        await attached()
        writeSync(start, '\n')
      }
    } finally {
      ready.close()
      closeSync(start)
    }
  }
  return readAnswer(messages, options)
}

async function readAnswer(messages: MessageReader, options: ShimOptions): Promise<ShimStarted> {
  const first = await messages.next()
  collect()
  if (!first) {
    messages.close()
    throw internal(`conmon ended without an answer (bundle ${options.dir})`)
  }
  if (first.data < 0 || first.message !== undefined) {
    messages.close()
    throw new RuntimeFailure(first.message ?? 'the runtime said nothing')
  }
  if (options.processFile === undefined) {
    messages.close()
    return { pid: first.data, ended: Promise.resolve(undefined) }
  }
  const ended = messages.next().then((last) => {
    messages.close()
    return last?.data
  })
  return { pid: first.data, ended }
}

function shimArguments(o: ShimOptions, attach: boolean): string[] {
  const exec = o.processFile === undefined ? [] : ['--exec', '--exec-process-spec', o.processFile]
  return [
    ...['--api-version', '1', '--full-attach', '--no-sync-log', '--log-level', 'error'],
    ...['-c', o.id, '-u', o.id, '-r', o.runtime, '-b', o.dir, '--exit-dir', o.exitDir],
    ...['-p', `${o.dir}/${SHIM_FILES.pid}`, '-P', `${o.dir}/${SHIM_FILES.shimPid}`],
    ...o.runtimeArgs.flatMap((arg) => ['--runtime-arg', arg]),
    ...o.logArgs,
    ...(o.terminal ? ['-t'] : []),
    ...(o.stdin ? ['-i'] : []),
    ...(o.leaveStdinOpen ? ['--leave-stdin-open'] : []),
    ...(o.systemdCgroup ? ['-s'] : []),
    ...exec,
    ...(attach ? ['--exec-attach'] : []),
  ]
}

/** conmon's first process, which ends as soon as it has forked, until it is collected. */
const uncollected = new Set<number>()

function collect(): void {
  for (const pid of uncollected) if (reap(pid)) uncollected.delete(pid)
}

interface ShimMessage {
  data: number
  message?: string
}

/** Lines of JSON from one of conmon's pipes. */
class MessageReader {
  readonly #socket: Socket
  readonly #lines: ShimMessage[] = []
  #text = ''
  #ended = false
  #wake: (() => void) | undefined

  constructor(fd: number) {
    this.#socket = new Socket({ fd, readable: true, writable: false })
    this.#socket.setEncoding('utf8')
    this.#socket.on('data', (chunk: string) => {
      const lines = (this.#text + chunk).split('\n')
      this.#text = lines.pop() ?? ''
      for (const line of lines) if (line !== '') this.#lines.push(JSON.parse(line) as ShimMessage)
      this.#wake?.()
    })
    const over = (): void => {
      this.#ended = true
      this.#wake?.()
    }
    this.#socket.on('end', over).on('close', over).on('error', over)
  }

  /** The next message; undefined at the end. */
  async next(): Promise<ShimMessage | undefined> {
    while (this.#lines.length === 0 && !this.#ended) await new Promise<void>((resolve) => (this.#wake = resolve))
    return this.#lines.shift()
  }

  close(): void {
    this.#socket.destroy()
  }
}
