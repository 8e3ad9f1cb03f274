import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { Store } from '../../shared/store/index.ts'
import { importTar, makeTar, startTestStorage } from './testing.ts'

/**
 * Runs one life of images, containers and volumes, and dies of SIGKILL at the n-th change of disk or database; prints how many
 * changes there were when it gets to the end. For crash.root.test.ts: `<root> <driver> <n>`.
 */
const [root = '', driver = '', at = '0'] = process.argv.slice(2)
const killAt = Number(at)
let changes = 0

function change(): void {
  if (++changes === killAt) process.kill(process.pid, 'SIGKILL')
}

const counted = ['mkdirSync', 'renameSync', 'rmSync', 'writeFileSync', 'symlinkSync'] as const
for (const name of counted) {
  const original = fs[name] as (...args: unknown[]) => unknown
  Object.assign(fs, {
    [name]: (...args: unknown[]) => {
      change()
      return original(...args)
    },
  })
}
syncBuiltinESMExports()

type Method = (this: Store, ...args: unknown[]) => unknown
const methods = Store.prototype as unknown as Record<'run' | 'transaction', Method>
const { run, transaction } = methods
methods.run = function (...args) {
  change()
  return run.apply(this, args)
}
methods.transaction = function (...args) {
  const result = transaction.apply(this, args)
  change()
  return result
}

const storage = await startTestStorage({ root, driver })
const [one, two] = ['1'.repeat(64), '2'.repeat(64)]
const data = { type: 'volume', target: '/data', readOnly: false } as const
const first = await importTar(storage, 'one', await makeTar([{ name: 'data/f', content: 'one' }]))
await importTar(storage, 'two', await makeTar([{ name: 'data/f', content: 'two' }]))
await storage.call['image.tag']({ ref: 'one', repo: 'also', tag: '1' })
const archive = await storage.transfer(await storage.call['image.save']({ refs: ['one', 'two'] }))
await storage.call['rootfs.create']({ id: one, image: 'one', mounts: [{ ...data, source: '' }] })
await storage.call['rootfs.mount']({ id: one })
await storage.call['rootfs.create']({ id: two, image: 'two', mounts: [{ ...data, source: 'named' }] })
await storage.call['rootfs.mount']({ id: two })
await storage.call['rootfs.unmount']({ id: one })
await storage.call['rootfs.remove']({ id: one, volumes: true })
await storage.call['image.remove']({ ref: first, force: true, noPrune: false })
await storage.transfer(await storage.call['image.load']({ quiet: true }), [archive])
await storage.call['rootfs.remove']({ id: two, volumes: true })
await storage.call['volume.remove']({ ref: 'named', force: true })
for (const ref of ['one', 'two']) await storage.call['image.remove']({ ref, force: false, noPrune: false })
await storage.stop()
process.stdout.write(`${changes}\n`)
