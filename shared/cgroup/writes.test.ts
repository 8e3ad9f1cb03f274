import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { isKind } from '../errors/index.ts'
import { RecordedCgroups } from '../../test/support/recorded-cgroups.ts'
import { applyWrites, deviceLine, keyedLine } from './writes.ts'

let tree: RecordedCgroups
let dir: string
before(() => {
  tree = new RecordedCgroups('v1')
  dir = join(tree.root, 'pids', 'g')
  tree.mkdir(dir)
})
after(() => tree.dispose())
const write = (value: string, file = 'pids.max') => ({ option: 'pids-limit', file: join(dir, file), value })

test('with undo, a value that is there already is not written', () => {
  applyWrites(tree, [write('5')], true)
  tree.written.length = 0
  applyWrites(tree, [write('5')], true)
  assert.deepEqual(tree.written, [])
  applyWrites(tree, [write('5')], false)
  assert.deepEqual(tree.written, ['pids/g/pids.max=5'])
})

test('a failure puts earlier values back, last first', () => {
  applyWrites(tree, [write('7'), write('1', 'notify_on_release')], true)
  tree.written.length = 0
  const bad = [write('8'), write('0', 'notify_on_release'), write('x')]
  assert.throws(
    () => applyWrites(tree, bad, true),
    (e) => isKind(e, 'invalid') && /pids-limit.*"x"/.test(e.message),
  )
  assert.deepEqual(tree.written, [
    ...['pids/g/pids.max=8', 'pids/g/notify_on_release=0', 'pids/g/pids.max=x'],
    ...['pids/g/notify_on_release=1', 'pids/g/pids.max=7'],
  ])
})

test('what cannot be put back is said', () => {
  applyWrites(tree, [write('7')], true)
  const failing = { ...write('0', 'notify_on_release') }
  tree.onChange = (what) => {
    if (what.endsWith('notify_on_release')) tree.failing.set('pids.max', 'EBUSY').set('notify_on_release', 'EBUSY')
  }
  assert.throws(
    () => applyWrites(tree, [write('8'), failing], true),
    (e) => isKind(e, 'conflict') && /pids.max could not be put back to 7/.test(e.message),
  )
  tree.onChange = undefined
  tree.failing.clear()
})

test('errors tell the kinds apart', () => {
  for (const [code, kind] of [
    ['EINVAL', 'invalid'],
    ['EBUSY', 'conflict'],
    ['ENODEV', 'not-found'],
    ['EACCES', 'forbidden'],
    ['ENOTSUP', 'invalid'],
  ] as const) {
    tree.failing.set('pids.max', code)
    assert.throws(
      () => applyWrites(tree, [write('9')], true),
      (e) => isKind(e, kind),
      code,
    )
  }
  tree.failing.clear()
  assert.throws(
    () => applyWrites(tree, [write('9', 'nope')], true),
    (e) => isKind(e, 'not-found'),
  )
})

test('CPUs that the parent has not got are the caller’s mistake', () => {
  const parent = join(tree.root, 'cpuset', 'p')
  tree.mkdir(parent)
  tree.write(join(parent, 'cpuset.cpus'), '1')
  tree.mkdir(join(parent, 'g'))
  const cpus = { option: 'cpuset-cpus', file: join(parent, 'g', 'cpuset.cpus'), value: '0-1' }
  assert.throws(
    () => applyWrites(tree, [cpus], false),
    (e) => isKind(e, 'invalid') && /cpuset-cpus.*"0-1".*the parent group has "1"/.test(e.message),
  )
})

test('lines by key', () => {
  assert.equal(keyedLine('a 1\nab 2\n', 'a'), '1')
  assert.equal(keyedLine('a 1\n', 'b'), undefined)
  assert.equal(deviceLine('8:0', '0')('8:16 5\n8:0 7\n'), '8:0 7')
  assert.equal(deviceLine('8:0', '0')('8:16 5\n'), '8:0 0')
})
