import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Locks } from './locks.ts'

describe('Locks', () => {
  it('runs work on one key in order, on different keys at the same time', async () => {
    const locks = new Locks()
    const seen: string[] = []
    const held = Promise.withResolvers<void>()
    const first = locks.run('a', async () => {
      await held.promise
      seen.push('a1')
    })
    const second = locks.run('a', async () => void seen.push('a2'))
    await locks.run('b', async () => void seen.push('b'))
    assert.deepEqual(seen, ['b'])
    held.resolve()
    await Promise.all([first, second])
    assert.deepEqual(seen, ['b', 'a1', 'a2'])
  })

  it('a key is busy from the call on until its last work is over', async () => {
    const locks = new Locks()
    const work = locks.run('a', async () => 1)
    assert.deepEqual(locks.busy(), ['a'])
    assert.equal(await work, 1)
    assert.deepEqual(locks.busy(), [])
  })

  it('work that fails rejects for its caller and lets the next one go', async () => {
    const locks = new Locks()
    const failing = locks.run('a', () => Promise.reject(new Error('no')))
    const next = locks.run('a', async () => 'next')
    await assert.rejects(failing, /no/)
    assert.equal(await next, 'next')
    await locks.idle()
  })
})
