import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { isKind } from '../../../shared/errors/index.ts'
import { MS } from '../../../shared/kernel/mounts.ts'
import { planMount, serverOf, withServer } from './plan.ts'

describe('local volume options', () => {
  it('none: a plain directory', () => assert.equal(planMount({}), undefined))

  it('tmpfs', () => {
    assert.deepEqual(planMount({ type: 'tmpfs', device: 'tmpfs', o: 'size=1m,nosuid,uid=1000' }), {
      ...{ type: 'tmpfs', device: 'tmpfs', flags: MS.nosuid, data: 'size=1m,uid=1000' },
    })
  })

  it('bind, read-only', () => {
    assert.deepEqual(planMount({ type: 'none', device: '/srv', o: 'bind,ro' }), {
      ...{ type: 'none', device: '/srv', flags: MS.bind | MS.rdonly, data: '' },
    })
  })

  it('a later flag takes back an earlier one', () => {
    assert.equal(planMount({ type: 'tmpfs', device: 'x', o: 'ro,noexec,rw' })?.flags, MS.noexec)
  })

  it("nfs: the server's name becomes its address", () => {
    const plan = planMount({ type: 'nfs', device: ':/export', o: 'addr=server,rw' })
    assert.ok(plan)
    assert.equal(serverOf(plan), 'server')
    assert.equal(withServer(plan, '10.0.0.1').data, 'addr=10.0.0.1')
  })

  for (const [options, message] of [
    [{ size: '1' }, /invalid option: "size"/],
    [{ type: 'tmpfs' }, /missing required option: "device"/],
    [{ device: '/x' }, /missing required option: "type"/],
    [{ device: 'x', o: 'bind' }, /absolute path/],
  ] as const) {
    it(`refuses ${JSON.stringify(options)}`, () => {
      assert.throws(
        () => planMount(options),
        (error: unknown) => isKind(error, 'invalid') && message.test(error.message),
      )
    })
  }
})
