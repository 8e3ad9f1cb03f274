import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pino } from 'pino'
import { loadDriverModule, type DriverContext, type StorageDriver } from '../../shared/drivers/index.ts'

/** Makes and removes layers on layer `a` until it is killed; part of the storage drivers' conformance suite. */
const [folder = '', stateDir = '', runDir = '', round = ''] = process.argv.slice(2)
const module = await loadDriverModule<StorageDriver, DriverContext>('storage', folder)
const driver = module.create({ log: pino({ level: 'silent' }), engine: 'gtest', stateDir, runDir })
process.stdout.write('started\n')
for (let i = 0; ; i++) {
  const id = `churn${round}x${i}`
  await driver.createLayer(`${id}l`, 'a')
  writeFileSync(join(await driver.prepare(`${id}l`), 'file'), 'x')
  await driver.commit(`${id}l`)
  await driver.createWritable(id, `${id}l`, {})
  writeFileSync(join(await driver.mount(id), 'file'), 'y')
  if (i % 3 === 0) await driver.unmount(id)
  if (i % 2 === 0) {
    await driver.remove(id)
    await driver.remove(`${id}l`)
  }
}
