import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { MessageChannel, threadId, type MessagePort } from 'node:worker_threads'
import { invalid, isKind } from '../errors/index.ts'
import { isCode, SystemError } from './libc.ts'
import { offload } from './offload.ts'

// What runs on the thread: this file again, where the tests below are not started.
export const whoAmI = (): number => threadId
export const refuse = (): never => {
  throw invalid('not like this', { details: { field: 'x' } })
}
export const failCall = (): never => {
  throw new SystemError('mount', 16)
}
export const die = (): never => process.exit(3)
export const echo = (port: MessagePort): Promise<number> =>
  new Promise((resolve) => port.once('message', (n: number) => resolve(n * 2)))

if (threadId === 0) {
  const run = <T>(name: string, args: unknown[] = [], port?: MessagePort): Promise<T> =>
    offload<T>(import.meta.url, name, args, port)

  describe('offload', () => {
    it('runs on another thread', async () => assert.notEqual(await run('whoAmI'), threadId))

    it('hands errors over with their kind and details', async () => {
      await assert.rejects(
        run('refuse'),
        (e: unknown) => isKind(e, 'invalid') && e.message === 'not like this' && e.details?.['field'] === 'x',
      )
      await assert.rejects(run('failCall'), (e: unknown) => e instanceof SystemError && isCode(e, 'EBUSY'))
      await assert.rejects(run('nope'), /has no nope/)
    })

    it('hands a port over', async () => {
      const { port1, port2 } = new MessageChannel()
      const result = run<number>('echo', [], port2)
      port1.postMessage(21)
      assert.equal(await result, 42)
      port1.close()
    })

    it('a thread that dies fails its work, and the next work gets a new one', async () => {
      await assert.rejects(run('die'), /ended with 3/)
      assert.equal(typeof (await run('whoAmI')), 'number')
    })
  })
}
