import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** The package's version, from the nearest package.json above this file (sources and dist alike). */
function find(): string {
  for (let dir = import.meta.dirname; dir !== dirname(dir); dir = dirname(dir)) {
    try {
      return (JSON.parse(readFileSync(join(dir, 'package.json'), 'utf8')) as { version: string }).version
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
  }
  return '0.0.0'
}

export const VERSION = find()
