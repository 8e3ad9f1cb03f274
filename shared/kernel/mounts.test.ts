import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { mountTable, parseMountInfo } from './mounts.ts'

const TABLE = `24 1 0:22 / /proc rw,nosuid - proc proc rw
36 35 98:0 /mnt1 /mnt\\0402 rw,noatime shared:7 master:1 - ext3 /dev/root rw,errors=continue
60 24 0:50 / /x rw - overlay overlay rw,lowerdir=/a:/b,upperdir=/c
garbage
`

describe('mount table', () => {
  it('is parsed with optional fields and escapes', () => {
    const [proc, bind, overlay] = parseMountInfo(TABLE)
    assert.equal(parseMountInfo(TABLE).length, 3)
    assert.deepEqual(
      [proc?.id, proc?.parent, proc?.target, proc?.type, proc?.propagation],
      [24, 1, '/proc', 'proc', []],
    )
    assert.deepEqual([bind?.root, bind?.target, bind?.propagation], ['/mnt1', '/mnt 2', ['shared:7', 'master:1']])
    assert.equal(overlay?.superOptions, 'rw,lowerdir=/a:/b,upperdir=/c')
  })

  it('of this process has a root', async () => {
    assert.ok((await mountTable()).some((entry) => entry.target === '/'))
  })
})
