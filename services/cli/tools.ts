import { accessSync, constants } from 'node:fs'
import { join } from 'node:path'
import { CliError } from './fail.ts'

/** Throws when a program is not in PATH, naming the Debian package, which has the program's name. */
export function requireTools(names: readonly string[]): void {
  const missing = names.filter((name) => !inPath(name))
  if (missing.length > 0) {
    throw new CliError(`${missing.join(', ')} not found in PATH: run apt-get install ${missing.join(' ')}`)
  }
}

function inPath(name: string): boolean {
  return (process.env['PATH'] ?? '').split(':').some((directory) => {
    try {
      accessSync(join(directory, name), constants.X_OK)
      return directory !== ''
    } catch {
      return false
    }
  })
}
