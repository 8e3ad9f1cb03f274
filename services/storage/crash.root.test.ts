import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { leftovers, startTestStorage, type TestStorage } from './testing.ts'

/** How many of the points at which the service may die are tried; other ones in each run. */
const POINTS = Number(process.env['GANTRY_CRASH_POINTS'] ?? 12)

function churn(root: string, driver: string, killAt: number) {
  const script = join(import.meta.dirname, 'testing-churn.ts')
  return spawnSync(process.execPath, [script, root, driver, String(killAt)], { encoding: 'utf8' })
}

const column = (storage: TestStorage, sql: string): string[] =>
  storage.store.all<{ v: string }>(sql).map((row) => row.v)

/** Database, disk, kernel and events must tell the same story. */
async function check(storage: TestStorage, driver: string): Promise<void> {
  const under = (folder: string): string[] =>
    readdirSync(join(storage.root, 'storage', folder))
      .filter((name) => name !== 'l')
      .sort()
  const layers = column(storage, 'SELECT id AS v FROM layers')
  const owned = [
    ...layers,
    ...column(storage, 'SELECT init AS v FROM layers WHERE init IS NOT NULL'),
    ...column(storage, 'SELECT id AS v FROM rootfs'),
  ]
  assert.deepEqual(under(`storage/${driver}`), owned.sort())
  assert.deepEqual(under('layers'), layers.map((id) => `${id}.split`).sort())
  assert.deepEqual(under('tmp'), [])
  assert.deepEqual(under('volume/local'), column(storage, 'SELECT name AS v FROM volumes ORDER BY name'))
  assert.deepEqual(column(storage, "SELECT name AS v FROM volumes WHERE status <> 'ready'"), [])
  assert.deepEqual(
    column(
      storage,
      'SELECT id AS v FROM layers WHERE id NOT IN (SELECT layer FROM images UNION SELECT layer FROM rootfs)',
    ),
    [],
  )
  const rootfs = column(storage, 'SELECT id AS v FROM rootfs')
  for (const line of leftovers(storage).filter((entry) => entry.includes(' - '))) {
    assert.ok(
      rootfs.some((id) => line.includes(id)),
      `a mount that nobody owns: ${line}`,
    )
  }
  const told = { image: new Set<string>(), volume: new Set<string>() }
  for (const { Type, Action, Actor } of storage.events()) {
    const known = told[Type as keyof typeof told]
    if (['import', 'load', 'create'].includes(Action)) known.add(Actor.ID)
    if (['delete', 'destroy'].includes(Action)) known.delete(Actor.ID)
  }
  assert.deepEqual([...told.image].sort(), column(storage, 'SELECT id AS v FROM images ORDER BY id'))
  assert.deepEqual([...told.volume].sort(), column(storage, 'SELECT name AS v FROM volumes ORDER BY name'))
  // Every image is whole: packing its layers compares their digests.
  for (const id of told.image) await storage.transfer(await storage.call['image.save']({ refs: [id] }))
}

async function removeAll(storage: TestStorage): Promise<void> {
  await storage.call['rootfs.reconcile']({ keep: [] })
  await storage.call['volume.prune']({ filters: { all: ['true'] } })
  await storage.call['image.prune']({ filters: { dangling: ['false'] } })
  assert.deepEqual(leftovers(storage), [])
}

describe('the storage service dies at any point', () => {
  for (const driver of ['overlay2', 'vfs']) {
    it(`on ${driver}: what is left is whole, and nothing leaks`, async () => {
      const root = mkdtempSync(join(process.env['GANTRY_TEST_DIR'] ?? tmpdir(), 'gantry-crash-'))
      const whole = churn(root, driver, 0)
      assert.equal(whole.status, 0, whole.stderr)
      const changes = Number(whole.stdout)
      assert.ok(changes > 50, `only ${changes} changes`)
      const stride = Math.max(1, changes / POINTS)
      let storage: TestStorage | undefined
      try {
        for (let point = 1 + Math.random() * stride; point <= changes; point += stride) {
          const killAt = Math.floor(point)
          const killed = churn(root, driver, killAt)
          assert.ok(killed.signal === 'SIGKILL' || killed.status === 0, `at ${killAt}: ${killed.stderr}`)
          storage = await startTestStorage({ root, driver })
          await check(storage, driver).catch((error: unknown) => {
            throw new Error(`killed at change ${killAt} of ${changes}: ${String(error)}`, { cause: error })
          })
          await removeAll(storage)
          await storage.stop()
        }
      } finally {
        storage = await startTestStorage({ root, driver })
        await storage.destroy()
      }
    })
  }
})
