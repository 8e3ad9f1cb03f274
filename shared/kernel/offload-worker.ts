import { parentPort } from 'node:worker_threads'
import { toWire } from '../errors/index.ts'
import { SystemError } from './libc.ts'
import type { WorkerReply, WorkerRequest } from './offload.ts'

/** The far side of offload.ts. */

type Work = (...args: unknown[]) => unknown

async function run(request: WorkerRequest): Promise<WorkerReply> {
  try {
    const module = (await import(request.module)) as Record<string, Work | undefined>
    const work = module[request.name]
    if (!work) throw new Error(`${request.module} has no ${request.name}`)
    const args = request.port ? [...request.args, request.port] : request.args
    return { id: request.id, value: await work(...args) }
  } catch (error) {
    const wire = toWire(error)
    return error instanceof SystemError
      ? { id: request.id, error: { ...wire, system: { syscall: error.syscall, errno: error.errno } } }
      : { id: request.id, error: wire }
  } finally {
    request.port?.close()
  }
}

parentPort?.on('message', (request: WorkerRequest) => {
  void run(request).then((reply) => parentPort?.postMessage(reply))
})
