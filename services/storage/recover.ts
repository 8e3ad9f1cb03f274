import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { StorageDriver } from '../../shared/drivers/index.ts'
import { removeTree } from '../../shared/kernel/tree.ts'
import type { Parts } from './handlers/parts.ts'
import { recoverVolumes } from './volumes/recover.ts'

/**
 * Start-up: compares the database with disk and kernel. Layers, files and half-made things that no record names go; root file
 * systems that are mounted stay mounted, whether their containers live or not: the engine says so later (`rootfs.reconcile`). Answers
 * what is wrong and cannot be mended here.
 */
export async function recover(parts: Parts): Promise<string[]> {
  const { layers, drivers, rootfs, log, tmpDir } = parts
  const damage: string[] = []
  for (const name of readdirSync(tmpDir)) await removeTree(join(tmpDir, name))
  await layers.recover()
  for (const driver of drivers.usable()) {
    const known = layers.known(driver.manifest.name)
    const removed = await driver.recover(known)
    const missing = await missingLayers(driver, known)
    if (missing.length > 0) damage.push(`${driver.manifest.name} has lost layers: ${missing.join(', ')}`)
    if (removed.length > 0) log.info({ driver: driver.manifest.name, removed }, 'removed layers without an owner')
  }
  await recoverVolumes(parts, rootfs.mounted)
  return damage
}

async function missingLayers(driver: StorageDriver, known: ReadonlySet<string>): Promise<string[]> {
  const missing: string[] = []
  for (const id of known) await driver.prepare(id).catch(() => missing.push(id))
  return missing
}
