import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

test('a log that cannot be written ends nothing', () => {
  const full = openSync('/dev/full', 'w')
  const module = join(import.meta.dirname, 'index.ts')
  const script = `const { createLogger } = await import(${JSON.stringify(module)})
    const log = createLogger('x', 'info')
    for (let i = 0; i < 2000; i++) log.info({ text: 'x'.repeat(1000) }, 'line')
    process.stderr.write('alive')`
  const child = spawnSync(process.execPath, [...process.execArgv, '--input-type=module', '-e', script], {
    stdio: ['ignore', full, 'pipe'],
    encoding: 'utf8',
  })
  closeSync(full)
  assert.equal(child.stderr, 'alive')
  assert.equal(child.status, 0)
})
