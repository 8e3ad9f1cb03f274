import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { pack as tarPack, type Header } from 'tar-stream'
import type { Bus } from '../../shared/bus/index.ts'
import type { Config } from '../../shared/config/index.ts'
import type { CallInfo, EventMessage, Handlers, StorageContract, StreamRef } from '../../shared/contracts/index.ts'
import { unmountBelow } from '../../shared/kernel/mounts.ts'
import { Store } from '../../shared/store/index.ts'
import type { Frame, StreamConnection, StreamServer } from '../../shared/streams/index.ts'
import { service } from './main.ts'

/** The storage service in the test's own process: real drivers on a directory of its own, no bus. For tests only. */
export interface TestStorage {
  readonly root: string
  readonly store: Store
  readonly events: () => EventMessage[]
  readonly call: { [V in keyof Verbs]: (request: Parameters<Verbs[V]>[0]) => ReturnType<Verbs[V]> }
  /** Sends `input` to a stream and reads what comes on channel 1. */
  transfer(ref: { stream: StreamRef }, input?: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<Buffer>
  stop(): Promise<void>
  /** Stops, unmounts, removes the directory. */
  destroy(): Promise<void>
}

type Verbs = Omit<Handlers<StorageContract>, 'health'>

class Queue {
  readonly #frames: Frame[] = []
  #end: { error?: Error } | undefined
  #wake = (): void => undefined
  #taken = (): void => undefined

  /** Resolves when there is room for more. */
  async push(frame: Frame): Promise<void> {
    this.#frames.push(frame)
    this.#wake()
    while (this.#frames.length > 16 && !this.#end) await new Promise<void>((resolve) => (this.#taken = resolve))
  }

  close(error?: unknown): void {
    this.#end ??= error === undefined ? {} : { error: error as Error }
    this.#wake()
    this.#taken()
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Frame> {
    for (;;) {
      const frame = this.#frames.shift()
      this.#taken()
      if (frame) yield frame
      else if (this.#end?.error !== undefined) throw this.#end.error
      else if (this.#end) return
      else await new Promise<void>((resolve) => (this.#wake = resolve))
    }
  }
}

function connection(inbox: Queue, outbox: Queue): StreamConnection {
  return {
    frames: inbox,
    send: (channel, data) => outbox.push({ channel, data: Buffer.from(data) }),
    sendEof: (channel) => outbox.push({ channel, data: new Uint8Array(0), eof: true }),
    end: () => outbox.close(),
    fail: (error) => outbox.close(error),
    closed: new AbortController().signal,
  }
}

class MemoryStreams implements StreamServer {
  readonly #offers = new Map<string, (connection: StreamConnection) => Promise<void>>()
  #last = 0

  offer(serve: (connection: StreamConnection) => Promise<void>): StreamRef {
    const ticket = String(++this.#last)
    this.#offers.set(ticket, serve)
    return { address: 'memory', ticket }
  }

  open(ref: StreamRef): StreamConnection {
    const serve = this.#offers.get(ref.ticket)
    if (!serve) throw new Error('unknown ticket')
    const [up, down] = [new Queue(), new Queue()]
    const server = connection(up, down)
    serve(server).then(
      () => server.end(),
      (error: unknown) => server.fail(error),
    )
    return connection(down, up)
  }

  async close(): Promise<void> {}
}

const call: CallInfo = { verb: 'test', job: undefined, traceparent: undefined }

export async function startTestStorage(options: { root?: string; driver?: string } = {}): Promise<TestStorage> {
  const root = options.root ?? mkdtempSync(join(process.env['GANTRY_TEST_DIR'] ?? tmpdir(), 'gantry-storage-'))
  const log = pino({ level: process.env['GANTRY_LOG_LEVEL'] ?? 'error' })
  const config: Config = {
    ...{ node: 'test', root, run: join(root, 'run'), engine: 'gtest', socket: '', cgroupParent: '' },
    ...(options.driver === undefined ? {} : { defaultDrivers: { storage: options.driver } }),
  }
  const stateDir = join(root, 'storage')
  const runDir = join(root, 'run', 'storage')
  const store = new Store(join(stateDir, 'storage.db'), service.migrations, 'test')
  const streams = new MemoryStreams()
  const driverContext = (kind: string, driver: string) => {
    const dirs = { stateDir: join(stateDir, kind, driver), runDir: join(runDir, kind, driver) }
    for (const dir of Object.values(dirs)) mkdirSync(dir, { recursive: true })
    return { log, engine: config.engine, ...dirs }
  }
  const bus = undefined as unknown as Bus
  const context = { name: 'storage', config, log, bus, store, streams, stateDir, runDir, driverContext }
  const running = await service.start(context)
  const verbs = Object.entries(running.handlers).map(([name, verb]) => [
    name,
    (request: never) => (verb as (request: never, call: CallInfo) => unknown)(request, call),
  ])
  const stop = async (): Promise<void> => {
    await running.stop()
    store.close()
  }
  return {
    root,
    store,
    events: () => store.outboxAfter(0, 100_000).map((row) => JSON.parse(row.payload) as EventMessage),
    call: Object.fromEntries(verbs) as TestStorage['call'],
    async transfer({ stream }, input = []) {
      const client = streams.open(stream)
      const sending = (async () => {
        for await (const chunk of input) await client.send(0, chunk)
        await client.sendEof(0)
      })()
      const parts: Uint8Array[] = []
      for await (const frame of client.frames) if (frame.channel === 1) parts.push(frame.data)
      await sending
      return Buffer.concat(parts)
    },
    stop,
    async destroy() {
      await stop()
      unmountBelow(root)
      rmSync(root, { recursive: true, force: true })
    },
  }
}

export type TarMember = Partial<Header> & { name: string; content?: string | Buffer }

/** An archive made by npm's tar-stream, which shares no code with ours. */
export async function makeTar(members: readonly TarMember[]): Promise<Buffer> {
  const pack = tarPack()
  for (const { content, ...header } of members) pack.entry(header, content ?? '')
  pack.finalize()
  const chunks: Buffer[] = []
  for await (const chunk of pack) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}

/** Imports an archive under a name; answers the image's id. */
export async function importTar(
  storage: TestStorage,
  name: string,
  tar: Buffer,
  changes: readonly string[] = [],
): Promise<string> {
  const [repo = '', tag = ''] = name.split(':')
  const reply = await storage.call['image.import']({ repo, tag, message: '', changes: [...changes] })
  const lines = (await storage.transfer(reply, [tar])).toString().trim().split('\r\n')
  return (JSON.parse(lines.at(-1) ?? '{}') as { status: string }).status
}

/** Folders of which every member belongs to an image, layer, container or volume. */
const OWNED = ['layers', 'tmp', 'storage/overlay2', 'storage/overlay2/l', 'storage/vfs', 'volume/local']

/** Everything that exists because of images, containers and volumes: what must be gone when they are. */
export function leftovers({ root }: TestStorage): string[] {
  const files = OWNED.flatMap((folder) => {
    const path = join(root, 'storage', folder)
    return existsSync(path) ? readdirSync(path).map((name) => `${folder}/${name}`) : []
  })
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter((line) => line.includes(root))
  return [...files.filter((file) => !OWNED.includes(file)), ...mounts]
}
