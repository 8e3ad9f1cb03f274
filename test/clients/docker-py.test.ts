import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { after, before, describe, test } from 'node:test'
import { join } from 'node:path'
import { IMAGE } from '../support/busybox.ts'
import { command } from '../support/command.ts'
import { startEngine, type TestEngine } from '../support/engine.ts'

/** The first Python that has Docker's SDK. */
const python = ['python3', '/usr/bin/python3'].find(
  (program) => spawnSync(program, ['-c', 'import docker'], { stdio: 'ignore' }).status === 0,
)

describe('docker-py', { skip: python === undefined ? 'no python3 with the docker module' : false }, () => {
  let engine: TestEngine
  before(async () => {
    engine = await startEngine()
  })
  after(() => engine.stop())

  test('the SDK for Python', async () => {
    const script = join(import.meta.dirname, 'docker_py.py')
    const result = await command(python ?? '', [script, IMAGE], { env: engine.env })
    assert.equal(result.code, 0, result.stdout + result.stderr)
    assert.match(result.stdout, /all done/)
  })
})
