import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { RepairTimer } from './repair.ts'

/** The timers do not keep a process alive; the sleep does. */
test('however often it is asked, it runs soon, and then twice a second', async () => {
  let runs = 0
  const timer = new RepairTimer(() => void runs++)
  const busy = setInterval(() => timer.schedule(), 5)
  await sleep(300)
  assert.equal(runs, 1)
  await sleep(900)
  clearInterval(busy)
  timer.stop()
  assert.ok(runs >= 2 && runs <= 3, `${runs} runs`)
})

test('a failed repair is tried again until it succeeds, at growing distances', async () => {
  const times: number[] = []
  const timer = new RepairTimer(() => {
    times.push(performance.now())
    if (times.length < 3) throw new Error('not yet')
  })
  timer.schedule()
  await sleep(2400)
  timer.stop()
  assert.equal(times.length, 3)
  const [a = 0, b = 0, c = 0] = times
  assert.ok(b - a >= 450 && c - b >= 950, `${b - a} ${c - b}`)
})

test('nothing runs after the stop', async () => {
  const timer = new RepairTimer(() => assert.fail('ran'))
  timer.schedule()
  timer.stop()
  await sleep(100)
})
