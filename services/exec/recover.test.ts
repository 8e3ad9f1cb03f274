import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ProcessHandle } from '../../shared/drivers/index.ts'
import { createLogger } from '../../shared/log/index.ts'
import { Processes, type ProcessDependencies } from './processes.ts'
import type { ProcessRow } from './records.ts'
import { recover, type RecoveryDependencies } from './recover.ts'

const full = new Error('database or disk is full')
const log = createLogger('exec-test', 'silent')
const row = {
  ...{ id: 'a', instance: 'i', status: 'running', runtime: 'r', pid: 1, startedAt: '', told: false },
  facts: { rootfs: '', hostname: '', tty: false, stdin: false, stdinOnce: false, log: { driver: '', options: {} } },
} as unknown as ProcessRow

test('an end that cannot be written is told, and does not end the service', async () => {
  const told: string[] = []
  const processes = new Processes({
    ...{ log, attachments: { begin: () => undefined }, logs: { begin: () => undefined, end: async () => undefined } },
    facts: { tell: async (name: string) => told.push(name) > 0 },
    records: {
      processes: new Map([['a', row]]),
      putProcess: () => {
        throw full
      },
    },
  } as unknown as ProcessDependencies)
  processes.adopt(row, { exited: Promise.resolve({ exitCode: 3, finishedAt: '' }) } as unknown as ProcessHandle)
  await sleep(10)
  assert.deepEqual(told, ['exec.process.exited'])
  assert.equal(processes.state('a').exitCode, 3)
})

test('recovery goes on when an end cannot be recorded', async () => {
  const fail = () => Promise.reject(full)
  const exited = { ...row, status: 'exited' }
  await recover({
    records: { processes: new Map([['a', exited]]), sessions: new Map([['s', { ...exited, id: 's' }]]) },
    drivers: { exec: { usable: () => [] } },
    processes: { record: fail },
    sessions: { record: fail },
    shm: { recover: () => undefined },
    log,
  } as unknown as RecoveryDependencies)
  await sleep(10)
})
