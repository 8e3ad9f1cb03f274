import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, test } from 'node:test'
import type { CounterFile } from '../kernel/cgroupfs.ts'
import { errno, RecordedCgroups } from '../../test/support/recorded-cgroups.ts'
import { OpenCounters, Sampler, type TakeSample } from './counters.ts'

const tree = new RecordedCgroups('v1')
after(() => tree.dispose())
for (const group of ['a', 'b', 'c']) tree.mkdir(join(tree.root, 'pids', group))

const openGroup = (counters: OpenCounters, path: string): TakeSample => {
  const dir = join(tree.root, 'pids', path)
  const readCurrent = counters.number(dir, 'pids.current')
  const readLimit = counters.text(dir, 'pids.max')
  return ({ read }) => {
    const current = readCurrent()
    readLimit()
    if (current === undefined) return undefined
    return { read, pids_stats: { current }, cpu_stats: {}, memory_stats: {}, blkio_stats: {}, oom_kills: 0 }
  }
}

function warnings() {
  const told: unknown[] = []
  return { told, log: { warn: (...args: unknown[]) => void told.push(args) } as never }
}

test('a group that cannot be read does not keep the others from being sampled, and is told of once', (t) => {
  const { told, log } = warnings()
  const sampler = new Sampler(tree, log, openGroup)
  const open = tree.open.bind(tree)
  const failing = t.mock.method(tree, 'open', (path: string) => {
    if (path.includes('/b/')) throw errno('EMFILE', path)
    return open(path)
  })
  for (let turn = 0; turn < 2; turn++) assert.deepEqual([...sampler.pass(['a', 'b', 'c']).keys()], ['a', 'c'])
  assert.equal(told.length, 1)
  failing.mock.restore()
  assert.equal(sampler.pass(['a', 'b', 'c']).size, 3)
  sampler.close()
})

test('no more files are kept open than allowed, and every group is read all the same', (t) => {
  const openNow = new Set<CounterFile>()
  const open = tree.open.bind(tree)
  t.mock.method(tree, 'open', (path: string) => {
    const file = open(path)
    if (file === undefined) return undefined
    const counted: CounterFile = { read: () => file.read(), close: () => (openNow.delete(counted), file.close()) }
    openNow.add(counted)
    return counted
  })
  const sampler = new Sampler(tree, warnings().log, openGroup, 3)
  for (let turn = 0; turn < 2; turn++) assert.equal(sampler.pass(['a', 'b', 'c']).size, 3)
  assert.equal(openNow.size, 3)
  sampler.forget('a')
  assert.equal(openNow.size, 1)
  sampler.pass(['c'])
  assert.equal(openNow.size, 3, 'what one group gave back is for the others')
  sampler.close()
  assert.equal(openNow.size, 0)
})

test('what a file says is made sense of anew only when it says something else', () => {
  const file = join(tree.root, 'pids', 'a', 'pids.current')
  const counters = new OpenCounters(tree, { left: 9 })
  let parsed = 0
  const read = counters.parsed(join(tree.root, 'pids', 'a'), 'pids.current', (text) => ({ text, turn: ++parsed }))
  tree.set(file, '1')
  const first = read()
  assert.equal(read(), first)
  tree.set(file, '2')
  assert.deepEqual(read(), { text: '2\n', turn: 2 })
  counters.close()
})

test('what the machine says is shared by the groups that are sampled within milliseconds, and no longer', (t) => {
  let now = 1000
  t.mock.method(performance, 'now', () => now)
  const sampler = new Sampler(tree, warnings().log, openGroup)
  const reads = (): (string | undefined)[] => [...sampler.pass(['a', 'b']).values()].map((sample) => sample.read)
  const [first, second] = reads()
  assert.equal(first, second)
  now += 4
  assert.equal(reads()[0], first)
  now += 4
  assert.notEqual(reads()[0], first)
  sampler.close()
})
