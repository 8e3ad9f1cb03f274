import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { fits, overlayOptions } from './options.ts'

describe('overlay2 mount options', () => {
  it('lists the layers from the top', () => {
    assert.equal(
      overlayOptions({ lower: ['b', 'a'], links: '/r/l', layer: '/r/x' }),
      'lowerdir=/r/l/b:/r/l/a,upperdir=/r/x/diff,workdir=/r/x/work,index=off,redirect_dir=off,metacopy=off',
    )
  })

  it('escapes what has a meaning', () => {
    assert.match(
      overlayOptions({ lower: ['b'], links: '/a:b,c\\d/l', layer: '/x' }),
      /^lowerdir=\/a\\:b\\,c\\\\d\/l\/b,/,
    )
  })

  it('140 layers fit when paths start at a descriptor', () => {
    const lower = Array.from({ length: 140 }, () => '123456')
    assert.ok(!fits(overlayOptions({ lower, links: '/var/lib/gantry/storage/storage/overlay2/l', layer: '/x' })))
    assert.ok(fits(overlayOptions({ lower, links: '/proc/self/fd/1234', layer: '/proc/self/fd/1235' })))
  })
})
