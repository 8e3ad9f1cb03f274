import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Child, type ChildSpec } from './child.ts'
import type { EnginePaths } from './paths.ts'
import { readRecord } from './record.ts'
import { Supervisor } from './supervisor.ts'

const until = async (condition: () => boolean): Promise<void> => {
  for (const end = Date.now() + 5000; !condition(); await sleep(10)) assert.ok(Date.now() < end, 'it did not come')
}

describe('a supervised process', () => {
  const child = (spec: Partial<ChildSpec> & Pick<ChildSpec, 'spawn'>): Child =>
    new Child({ name: 'c', onChange: () => undefined, log: () => undefined, ...spec })
  const sleeper = (): ChildProcess => spawn('sleep', ['60'], { stdio: 'ignore' })

  test('a spawn that throws is tried again like a process that ends', async () => {
    let tries = 0
    const c = child({
      spawn: () => {
        if (++tries < 3) throw new Error('spawn ENOMEM')
        return sleeper()
      },
    })
    c.start()
    await until(() => c.record().state === 'starting')
    assert.equal(c.record().reason, 'Error: spawn ENOMEM')
    await c.stop(1000)
  })

  test('one that is slow to be ready is waited for', async () => {
    let tries = 0
    const c = child({
      spawn: sleeper,
      untilReady: async () => {
        if (++tries < 2) throw new Error('not within 20 s')
      },
    })
    c.start()
    await until(() => c.record().state === 'ready')
    await c.stop(1000)
  })
})

test('a supervisor goes on when it can write neither log nor record, and writes the record when it can', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'gantry-full-'))
  const run = join(dir, 'run')
  const record = join(run, 'supervisor.json')
  const paths = { log: '/dev/full', record, natsConfig: join(dir, 'none'), natsDir: dir } as unknown as EnginePaths
  const supervisor = new Supervisor({
    ...{ mode: 'single-process', natsUrl: '', paths, services: ['engine'], command: ['true'], cwd: '/' },
  })
  try {
    supervisor.start()
    await sleep(100)
    assert.equal(readRecord(record), undefined)
    mkdirSync(run)
    await until(() => readRecord(record) !== undefined)
  } finally {
    await supervisor.stop()
    rmSync(dir, { recursive: true })
  }
})
