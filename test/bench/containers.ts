import { api } from '../support/api.ts'
import { BENCH_IMAGE, type Subject } from './subject.ts'

export interface PortMap {
  readonly first: number
  readonly count: number
}

interface CreateOptions {
  readonly command?: readonly string[]
  readonly ports?: PortMap
  readonly network?: string
}

/** Creates a container and returns its id. `ports` publishes a range on the loopback address; first 0 is any port. */
export async function create(subject: Subject, options: CreateOptions = {}): Promise<string> {
  const { ports = { first: 0, count: 0 }, network } = options
  const bindings = Object.fromEntries(
    Array.from({ length: ports.count }, (_, i) => [
      `${(ports.first || 80) + i}/tcp`,
      [{ HostIp: '127.0.0.1', HostPort: ports.first === 0 ? '' : String(ports.first + i) }],
    ]),
  )
  const body = {
    Image: BENCH_IMAGE,
    Cmd: options.command ?? ['sleep', '900'],
    ExposedPorts: Object.fromEntries(Object.keys(bindings).map((port) => [port, {}])),
    HostConfig: { PortBindings: bindings, ...(network === undefined ? {} : { NetworkMode: network }) },
  }
  return (await api(subject.socket, 'POST', '/containers/create', body)).json<{ Id: string }>().Id
}

export const start = (subject: Subject, id: string): Promise<unknown> =>
  api(subject.socket, 'POST', `/containers/${id}/start`)

export const wait = (subject: Subject, id: string): Promise<unknown> =>
  api(subject.socket, 'POST', `/containers/${id}/wait`)

export const remove = (subject: Subject, id: string): Promise<unknown> =>
  api(subject.socket, 'DELETE', `/containers/${id}?force=1&v=1`)

/** Removes what it can; the first failure is thrown when all were tried. */
export async function removeAll(subject: Subject, ids: readonly string[]): Promise<void> {
  const results = await Promise.allSettled(ids.map((id) => remove(subject, id)))
  const failed = results.find((r) => r.status === 'rejected')
  if (failed) throw failed.reason
}

/** What a measurement that failed has left: the engine is the bench's own, so that is all that there is. */
export async function removeLeftovers(subject: Subject): Promise<void> {
  const left = (await api(subject.socket, 'GET', '/containers/json?all=1')).json<{ Id: string }[]>()
  await removeAll(
    subject,
    left.map(({ Id }) => Id),
  )
  await api(subject.socket, 'POST', '/networks/prune')
}

export async function startNew(subject: Subject, options: CreateOptions = {}): Promise<string> {
  const id = await create(subject, options)
  await start(subject, id)
  return id
}

/** Milliseconds that the work takes. */
export async function timed(work: () => Promise<unknown>): Promise<number> {
  const begin = performance.now()
  await work()
  return performance.now() - begin
}

/** Does `work` for every item, `width` at a time. */
export async function parallel<T, R>(items: readonly T[], width: number, work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = []
  let next = 0
  const worker = async (): Promise<void> => {
    for (let i = next++; i < items.length; i = next++) results[i] = await work(items[i] as T)
  }
  await Promise.all(Array.from({ length: width }, worker))
  return results
}
