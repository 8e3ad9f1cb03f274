import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe } from 'node:test'
import { execConformance } from './exec.ts'

// Every driver there is, the template too: it is what a new driver starts from.
const plugins = join(import.meta.dirname, '..', '..', 'plugins', 'exec')
describe('exec drivers', { skip: process.getuid?.() === 0 ? false : 'needs root' }, () => {
  for (const entry of readdirSync(plugins, { withFileTypes: true })) {
    if (entry.isDirectory()) execConformance(entry.name, join(plugins, entry.name))
  }
})
