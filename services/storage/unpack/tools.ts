import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'

/** Decompressors that are run as programs, and the Debian packages that have them. */
export const TOOLS = { xz: 'xz-utils', bzip2: 'bzip2' } as const
export type Tool = keyof typeof TOOLS

export const installHint = (tool: Tool): string => `${tool} is not installed: apt-get install ${TOOLS[tool]}`

/** What an operator should know: archives compressed with these cannot be read. */
export function missingTools(): string[] {
  const folders = (process.env['PATH'] ?? '').split(delimiter)
  const has = (tool: Tool): boolean => folders.some((folder) => existsSync(join(folder, tool)))
  return (Object.keys(TOOLS) as Tool[])
    .filter((tool) => !has(tool))
    .map((tool) => `${installHint(tool)} (needed to read images compressed with ${tool})`)
}
