import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { parsePublish } from './ports.ts'
import { duration, table } from './table.ts'

describe('publish', () => {
  const cases: [string, string, string, string][] = [
    ['80', '80/tcp', '', ''],
    ['8080:80', '80/tcp', '', '8080'],
    ['127.0.0.1:8080:80/udp', '80/udp', '127.0.0.1', '8080'],
    ['127.0.0.1::80', '80/tcp', '127.0.0.1', ''],
    ['[::1]:8080:80', '80/tcp', '::1', '8080'],
    ['0:80', '80/tcp', '', '0'],
  ]
  for (const [text, container, HostIp, HostPort] of cases) {
    test(text, () => assert.deepEqual(parsePublish(text), { container, binding: { HostIp, HostPort } }))
  }
  for (const text of ['', 'http', '80/icmp', '70000', '0', '70000:80', '1:2:3:4', '::1:80:80']) {
    test(`"${text}" is refused, naming it`, () =>
      assert.throws(() => parsePublish(text), { message: /cannot read port/ }))
  }
})

test('columns are as wide as their widest cell', () => {
  assert.equal(table([['A', 'B'], ['long', 'x']]), 'A     B\nlong  x\n') // prettier-ignore
})

test('durations', () => {
  assert.deepEqual([1.9, 60, 7199, 86_400 * 3].map(duration), ['1s', '1m', '1h', '3d'])
})

describe('command line', () => {
  const gantry = (...args: string[]): { status: number | null; text: string } => {
    const env = { ...process.env, GANTRY_RUN: '/nonexistent/run', GANTRY_ROOT: '/nonexistent/root' }
    const result = spawnSync(process.execPath, ['--import', 'tsx', join(import.meta.dirname, 'main.ts'), ...args], {
      env,
      encoding: 'utf8',
    })
    return { status: result.status, text: result.stdout + result.stderr }
  }
  const cases: [string[], RegExp][] = [
    [['status'], /not running/],
    [['service', 'nope'], /no service "nope": there are gateway, engine/],
    [['service', 'engine'], /GANTRY_NATS_URL/],
    [['ps'], /nobody answers at \/nonexistent\/run\/docker.sock: is the engine running/],
    [['events'], /nobody answers/],
    [['schema', 'nope'], /no service "nope"/],
    [['nope'], /unknown command/],
    [['run'], /missing required argument/],
  ]
  for (const [args, message] of cases) {
    test(`gantry ${args.join(' ')} fails and says why`, () => {
      const { status, text } = gantry(...args)
      assert.equal(status, 1)
      assert.match(text, message)
    })
  }
})
