import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { parseDetachKeys } from '../../../shared/tty/detach-keys.ts'
import { DetachFilter } from './detach-keys.ts'

describe('detach keys', () => {
  it('are parsed', () => {
    assert.deepEqual([...parseDetachKeys('')], [16, 17])
    assert.deepEqual([...parseDetachKeys('ctrl-p,ctrl-q')], [16, 17])
    assert.deepEqual([...parseDetachKeys('a,ctrl-@,ctrl-[,ctrl-_')], [97, 0, 27, 31])
    assert.throws(() => parseDetachKeys('ctrl-1'), /Unknown character: 'ctrl-1'/)
  })

  const feed = (filter: DetachFilter, text: string): string => {
    const { pass, detached } = filter.filter(Buffer.from(text))
    return `${Buffer.from(pass).toString()}${detached ? '!' : ''}`
  }

  it('are noticed, also in pieces, and given back when they are something else', () => {
    const filter = new DetachFilter('a,b,c')
    assert.equal(feed(filter, 'xyza'), 'xyz')
    assert.equal(feed(filter, 'b'), '')
    assert.equal(feed(filter, 'x'), 'abx')
    assert.equal(feed(filter, 'aab'), 'a')
    assert.equal(feed(filter, 'c'), '!')
  })
})
