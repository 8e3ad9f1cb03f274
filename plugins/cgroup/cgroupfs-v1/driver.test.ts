import assert from 'node:assert/strict'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { isKind } from '../../../shared/errors/index.ts'
import { createLogger } from '../../../shared/log/index.ts'
import { RecordedCgroups } from '../../../test/support/recorded-cgroups.ts'
import { CgroupfsV1 } from './driver.ts'

test('a host without any freezer says so, and processes can still be killed', async () => {
  const tree = new RecordedCgroups('v1')
  rmSync(join(tree.root, 'freezer'), { recursive: true })
  const context = { log: createLogger('test', 'silent'), stateDir: '', runDir: '', engine: 'e', parent: '/e' }
  const driver = new CgroupfsV1({ ...context, root: tree.root, fs: tree })
  await driver.probe()
  const path = driver.pathFor('0'.repeat(64), '')
  await driver.create(path, {})
  tree.enter(path, 4711)
  for (const work of [driver.freeze(path), driver.thaw(path)]) {
    await assert.rejects(work, (e) => isKind(e, 'not-implemented') && /v1 freezer/.test(e.message))
  }
  await driver.remove(path)
  assert.equal(await driver.exists(path), false)
  await driver.close()
  tree.dispose()
})
