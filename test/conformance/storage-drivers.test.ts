import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { storageConformance } from './storage.ts'

// Every driver there is, the template too: it is what a new driver starts from.
const plugins = join(import.meta.dirname, '..', '..', 'plugins', 'storage')
for (const entry of readdirSync(plugins, { withFileTypes: true })) {
  if (entry.isDirectory()) storageConformance(entry.name, join(plugins, entry.name))
}
