import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Worker, type MessagePort, type Transferable } from 'node:worker_threads'
import { fromWire, internal, type WireError } from '../errors/index.ts'
import { libc, SystemError } from './libc.ts'

/**
 * Runs file-heavy work on a thread of its own, so that a service keeps answering meanwhile. Threads start on demand, at
 * most two (more would only wait for the disk), and end when there was nothing to do for a while: at rest they take no memory.
 */

export interface WorkerRequest {
  readonly id: number
  readonly module: string
  readonly name: string
  readonly args: readonly unknown[]
  readonly port?: MessagePort
}

export interface WorkerReply {
  readonly id: number
  readonly value?: unknown
  readonly error?: WireError & { readonly system?: { syscall: string; errno: number } }
}

interface Pending {
  resolve(value: unknown): void
  reject(error: unknown): void
}

interface Thread {
  readonly worker: Worker
  readonly pending: Map<number, Pending>
  idle: NodeJS.Timeout | undefined
}

const MAX_THREADS = 2
const IDLE_MS = 3000

const mallocTrim = libc.func('int malloc_trim(size_t pad)')

const threads: Thread[] = []
let lastId = 0

// Node runs the TypeScript source of a worker by itself (types are only stripped); compiled, the extension is .js.
const entry = new URL(`./offload-worker${extname(fileURLToPath(import.meta.url))}`, import.meta.url)

function start(): Thread {
  const worker = new Worker(entry, { execArgv: [], name: 'offload' })
  const thread: Thread = { worker, pending: new Map(), idle: undefined }
  const end = (error: Error): void => {
    if (threads.includes(thread)) threads.splice(threads.indexOf(thread), 1)
    for (const p of thread.pending.values()) p.reject(error)
    thread.pending.clear()
  }
  worker.on('message', (reply: WorkerReply) => {
    const pending = thread.pending.get(reply.id)
    thread.pending.delete(reply.id)
    if (thread.pending.size === 0) rest(thread)
    if (reply.error) pending?.reject(revive(reply.error))
    else pending?.resolve(reply.value)
  })
  worker.on('error', (error) => end(error as Error))
  worker.on('exit', (code) => end(internal(`a worker thread ended with ${code}`)))
  threads.push(thread)
  return thread
}

/** Does not keep the process alive, and ends after a while. */
function rest(thread: Thread): void {
  thread.worker.unref()
  thread.idle = setTimeout(() => {
    if (threads.includes(thread)) threads.splice(threads.indexOf(thread), 1)
    // What the thread's allocator holds is given back to the system: glibc would keep it for a next thread.
    void thread.worker.terminate().then(() => void mallocTrim(0))
  }, IDLE_MS)
  thread.idle.unref()
}

const revive = (error: NonNullable<WorkerReply['error']>): Error =>
  error.system ? new SystemError(error.system.syscall, error.system.errno, error.message) : fromWire(error)

function pick(): Thread {
  const free = threads.find((t) => t.pending.size === 0)
  if (free) return free
  if (threads.length < MAX_THREADS) return start()
  return threads.reduce((a, b) => (b.pending.size < a.pending.size ? b : a))
}

/**
 * Calls the exported function `name` of the module at `url` on a thread, with `args` (structured clone). A `port` is
 * handed over as the last argument. Errors of the function are thrown here with their kind.
 */
export function offload<T>(url: string, name: string, args: readonly unknown[], port?: MessagePort): Promise<T> {
  const thread = pick()
  clearTimeout(thread.idle)
  thread.worker.ref()
  const id = ++lastId
  return new Promise<T>((resolve, reject) => {
    thread.pending.set(id, { resolve: (value) => resolve(value as T), reject })
    const request: WorkerRequest = { id, module: url, name, args, ...(port ? { port } : {}) }
    const transfer: Transferable[] = port ? [port] : []
    thread.worker.postMessage(request, transfer)
  })
}
