import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { loadConfig } from './index.ts'

function write(t: TestContext, text: string): string {
  const dir = mkdtempSync(join(tmpdir(), 'gantry-config-'))
  t.after(() => rmSync(dir, { recursive: true }))
  writeFileSync(join(dir, 'gantry.json'), text)
  return join(dir, 'gantry.json')
}

test('without a file and without variables the standard places hold', () => {
  const config = loadConfig({ GANTRY_CONFIG: '/nonexistent/gantry.json' })
  assert.deepEqual(
    [config.root, config.run, config.socket, config.engine, config.cgroupParent],
    ['/var/lib/gantry', '/run/gantry', '/run/gantry/docker.sock', 'gantry', '/gantry'],
  )
})

test('an engine elsewhere has a short name of its own, the same at every start', () => {
  const env = { GANTRY_CONFIG: '/nonexistent', GANTRY_ROOT: '/tmp/a', GANTRY_RUN: '/tmp/b' }
  assert.match(loadConfig(env).engine, /^g[0-9a-f]{6}$/)
  assert.equal(loadConfig(env).engine, loadConfig(env).engine)
  assert.notEqual(loadConfig(env).engine, loadConfig({ ...env, GANTRY_ROOT: '/tmp/c' }).engine)
})

test('a wrong file is refused, naming the file and the member', (t) => {
  assert.throws(() => loadConfig({ GANTRY_CONFIG: write(t, '{bad') }), /gantry\.json is not JSON/)
  assert.throws(() => loadConfig({ GANTRY_CONFIG: write(t, '{"hosts": "tcp://x"}') }), /hosts must be array/)
  assert.throws(() => loadConfig({ GANTRY_CONFIG: write(t, '{"host": []}') }), /gantry\.json: .*additional/)
})

test('a cgroup parent has one spelling, and is never the root', (t) => {
  const parentOf = (text: string) =>
    loadConfig({ GANTRY_CONFIG: write(t, JSON.stringify({ cgroupParent: text })) }).cgroupParent
  for (const text of ['containers', '/containers', '//containers/', './containers/.']) {
    assert.equal(parentOf(text), '/containers', text)
  }
  assert.equal(parentOf('machine.slice'), '/machine.slice')
  for (const text of ['', '/', '.', '//', '..', '/a/..', '/a/../b']) {
    assert.throws(() => parentOf(text), /gantry\.json: cgroupParent .* is no group below the root/, text)
  }
})
