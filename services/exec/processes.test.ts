import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ProcessHandle } from '../../shared/drivers/index.ts'
import { isKind } from '../../shared/errors/index.ts'
import { createLogger } from '../../shared/log/index.ts'
import { Processes, type ProcessDependencies } from './processes.ts'
import type { ProcessRow } from './records.ts'

const untold = {
  ...{ id: 'a', instance: 'i', status: 'exited', runtime: 'r', pid: 0, startedAt: '', exitCode: 3, finishedAt: '' },
  ...{ told: false, facts: { log: { driver: '', options: {} } } },
} as unknown as ProcessRow

/** Processes of a service that found one whose end it has not told, on a bus that takes facts when the test says so. */
function service() {
  const telling = Promise.withResolvers<boolean>()
  const rows = new Map([['a', untold]])
  const processes = new Processes({
    log: createLogger('exec-test', 'silent'),
    drivers: { runtime: () => ({ remove: async () => undefined }) },
    attachments: { begin: () => undefined },
    logs: { begin: () => undefined, end: async () => undefined },
    facts: { tell: () => telling.promise },
    records: {
      processes: rows,
      putProcess: (row: ProcessRow) => void rows.set(row.id, row),
      deleteProcess: (id: string) => void rows.delete(id),
      sessionsOf: () => [],
    },
  } as unknown as ProcessDependencies)
  return { processes, rows, telling }
}

test('an end is told before the row that remembers it goes', async () => {
  const { processes, rows, telling } = service()
  const recovering = processes.record(untold)
  const deleting = processes.delete('a')
  await new Promise((resolve) => setImmediate(resolve))
  assert.ok(rows.has('a'), 'kept while it is told')
  telling.resolve(true)
  await Promise.all([recovering, deleting])
  assert.equal(rows.has('a'), false)
})

test('a service that stops before it could tell an end keeps the row for the next one', async () => {
  const { processes, rows, telling } = service()
  const deleting = processes.delete('a')
  telling.resolve(false)
  await assert.rejects(deleting, (error) => isKind(error, 'unavailable') && error.details?.['draining'] === true)
  assert.equal(rows.get('a')?.told, false)
})

test('a signal of one key is sent once, also when the process has ended since', () => {
  const { processes } = service()
  const sent: number[] = []
  const handle = { exited: new Promise(() => undefined), signal: (n: number) => sent.push(n) < 3 }
  processes.adopt({ ...untold, status: 'running' }, handle as unknown as ProcessHandle)
  for (const key of ['k1', 'k1', 'k2', undefined, 'k1']) {
    if (key === undefined) assert.throws(() => processes.signal('a', 1), /is not running/)
    else processes.signal('a', 1, key)
  }
  assert.equal(sent.length, 3)
})
