import assert from 'node:assert/strict'
import { api } from '../support/api.ts'
import { create, parallel, remove, start, startNew, timed, wait } from './containers.ts'
import { look } from './looks.ts'
import { lookups } from './lookups.ts'
import { metricsCpu } from './cpu.ts'
import { idleMemory, memoryPerContainer } from './memory.ts'
import { BENCH_IMAGE, type Subject } from './subject.ts'

export interface Row {
  readonly name: string
  readonly unit: 'ms' | 'MB' | '/s' | 'MB/s' | '%'
  readonly rounds: number
  /** The project's goal; for rates the least, for the rest the most. */
  readonly reach?: number
  /** Goal of another way of running than six processes. */
  readonly reachOf?: Readonly<Record<string, number>>
  /** Not for a real dockerd, with the reason. */
  readonly notForReference?: string
  measure(subject: Subject): Promise<number>
}

const PARALLEL = 40

async function cli(subject: Subject, ...args: string[]): Promise<void> {
  const { code, stderr } = await subject.docker(...args)
  assert.equal(code, 0, `${subject.name}: docker ${args.join(' ')}: ${stderr}`)
}

/** Measures with a fresh, created container, which is removed afterwards. */
async function withCreated(
  subject: Subject,
  options: Parameters<typeof create>[1],
  work: (id: string) => Promise<number>,
): Promise<number> {
  const id = await create(subject, options)
  try {
    return await work(id)
  } finally {
    await remove(subject, id)
  }
}
const startTime = (subject: Subject, options?: Parameters<typeof create>[1]): Promise<number> =>
  withCreated(subject, options, (id) => timed(() => start(subject, id)))

/** Measures with a running container, which is removed afterwards. */
const withRunning = (
  subject: Subject,
  command: readonly string[],
  work: (id: string) => Promise<number>,
): Promise<number> =>
  withCreated(subject, { command }, async (id) => {
    await start(subject, id)
    return work(id)
  })

const runRow = (network: string, reach?: number): Row => ({
  name: `docker run --rm, ${network}`,
  unit: 'ms',
  rounds: 12,
  ...(reach === undefined ? {} : { reach }),
  measure: (s) => timed(() => cli(s, 'run', '--rm', '--net', network, BENCH_IMAGE, 'true')),
})

async function parallelStarts(subject: Subject): Promise<{ starts: number; removes: number }> {
  let ids: string[] = []
  const up = await timed(async () => {
    ids = await parallel(Array.from({ length: PARALLEL }), 8, () => startNew(subject))
  })
  const down = await timed(() => parallel(ids, 8, (id) => remove(subject, id)))
  return { starts: (PARALLEL / up) * 1000, removes: (PARALLEL / down) * 1000 }
}

/** What one more published port costs a start when 5,000 are there: against the same start when there is none. */
async function portAmongMany(subject: Subject): Promise<number> {
  const ports = { first: 0, count: 1 }
  const median = async (): Promise<number> => {
    const times: number[] = []
    for (let i = 0; i < 7; i++) times.push(await startTime(subject, { ports }))
    return times.sort((a, b) => a - b)[3] ?? 0
  }
  const alone = await median()
  const crowd: string[] = []
  for (let i = 0; i < 10; i++) crowd.push(await startNew(subject, { ports: { first: 23_000 + i * 500, count: 500 } }))
  const among = await median()
  await parallel(crowd, 4, (id) => remove(subject, id))
  return among - alone
}

/** A gigabyte of zeros from one container to another. */
async function throughput(subject: Subject): Promise<number> {
  const megabytes = 1000
  return withRunning(subject, ['sh', '-c', 'while :; do nc -l -p 5000 > /dev/null; done'], async (server) => {
    const inspect = await api(subject.socket, 'GET', `/containers/${server}/json`)
    const address = inspect.json<{ NetworkSettings: { IPAddress: string } }>().NetworkSettings.IPAddress
    const line = `until dd if=/dev/zero bs=1M count=${megabytes} | nc ${address} 5000; do :; done`
    const client = await create(subject, { command: ['sh', '-c', line] })
    const ms = await timed(async () => {
      await start(subject, client)
      await wait(subject, client)
    })
    await remove(subject, client)
    return (megabytes / ms) * 1000
  })
}

async function logLines(subject: Subject): Promise<number> {
  const lines = 300_000
  return withRunning(subject, ['seq', '1', String(lines)], async (id) => {
    await wait(subject, id)
    return timed(async () => {
      const reply = await api(subject.socket, 'GET', `/containers/${id}/logs?stdout=1&stderr=1`)
      assert.ok(reply.text().split('\n').length > lines, `${subject.name}: log lines are missing`)
    })
  })
}

export const ROWS: readonly Row[] = [
  { name: 'idle memory (PSS)', unit: 'MB', rounds: 1, reachOf: { 'gantry-single': 150 }, measure: idleMemory },
  runRow('bridge', 130),
  runRow('host', 100),
  runRow('none'),
  { name: 'start, bridge (API)', unit: 'ms', rounds: 12, reach: 80, measure: (s) => startTime(s) },
  {
    name: 'start, one published port',
    unit: 'ms',
    rounds: 10,
    reach: 80,
    measure: (s) => startTime(s, { ports: { first: 0, count: 1 } }),
  },
  {
    name: 'start, 500 published ports',
    unit: 'ms',
    rounds: 3,
    reach: 200,
    measure: (s) => startTime(s, { ports: { first: 21_000, count: 500 } }),
  },
  {
    name: 'one more port among 5,000',
    unit: 'ms',
    rounds: 1,
    reach: 5,
    notForReference: 'starting 5,000 port proxies takes minutes',
    measure: portAmongMany,
  },
  {
    name: 'create, start, wait, remove (API)',
    unit: 'ms',
    rounds: 10,
    measure: (s) =>
      timed(async () => {
        const id = await startNew(s, { command: ['true'] })
        await wait(s, id)
        await remove(s, id)
      }),
  },
  {
    name: 'stop (SIGTERM obeyed)',
    unit: 'ms',
    rounds: 5,
    measure: (s) =>
      withRunning(s, ['sh', '-c', 'trap "exit 0" TERM; while :; do sleep 0.01; done'], async (id) => {
        await new Promise((resolve) => setTimeout(resolve, 300)) // the trap is set
        return timed(() => api(s.socket, 'POST', `/containers/${id}/stop`))
      }),
  },
  {
    name: 'docker exec',
    unit: 'ms',
    rounds: 12,
    reach: 60,
    measure: (s) => withRunning(s, ['sleep', '900'], (id) => timed(() => cli(s, 'exec', id, 'true'))),
  },
  {
    name: 'network create + remove',
    unit: 'ms',
    rounds: 8,
    reach: 25,
    measure: (s) =>
      timed(async () => {
        const Name = `bench-${process.hrtime.bigint()}`
        await api(s.socket, 'POST', '/networks/create', { Name, CheckDuplicate: true })
        await api(s.socket, 'DELETE', `/networks/${Name}`)
      }),
  },
  { name: 'ping', unit: 'ms', rounds: 30, measure: (s) => timed(() => api(s.socket, 'GET', '/_ping')) },
  {
    name: 'inspect',
    unit: 'ms',
    rounds: 20,
    measure: (s) => withCreated(s, {}, (id) => timed(() => api(s.socket, 'GET', `/containers/${id}/json`))),
  },
  {
    name: 'ps -a',
    unit: 'ms',
    rounds: 20,
    measure: (s) => timed(() => api(s.socket, 'GET', '/containers/json?all=1')),
  },
  {
    name: 'inspect, again and again',
    unit: 'ms',
    rounds: 3,
    measure: (s) => look(s, '/containers/{id}/json', 1),
  },
  {
    name: 'ps -a, again and again',
    unit: 'ms',
    rounds: 3,
    measure: (s) => look(s, '/containers/json?all=1', 1),
  },
  {
    name: 'ps -a of 200, again and again',
    unit: 'ms',
    rounds: 1,
    measure: (s) => look(s, '/containers/json?all=1', 200),
  },
  { name: 'logs, 300,000 lines', unit: 'ms', rounds: 3, measure: logLines },
  { name: 'embedded DNS, answers', unit: '/s', rounds: 3, reach: 5000, measure: lookups },
  { name: 'container to container', unit: 'MB/s', rounds: 3, measure: throughput },
  {
    name: 'starts, 8 at a time',
    unit: '/s',
    rounds: 2,
    reach: 20,
    measure: async (s) => (await parallelStarts(s)).starts,
  },
  {
    name: 'removes, 8 at a time',
    unit: '/s',
    rounds: 2,
    reach: 40,
    measure: async (s) => (await parallelStarts(s)).removes,
  },
  { name: 'memory per container (PSS)', unit: 'MB', rounds: 1, reach: 2, measure: memoryPerContainer },
  { name: 'metrics of 200 idle, of one core', unit: '%', rounds: 1, reach: 5, measure: metricsCpu },
]
