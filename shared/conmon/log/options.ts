import { invalid } from '../../errors/index.ts'
import type { LogOptions } from '../../drivers/log.ts'
import type { LogBounds } from './rotation.ts'

/** `10m`, `200k`, `1g`, `512`: bytes, in powers of 1024 (docker/go-units RAMInBytes). */
export function parseSize(option: string, text: string): number {
  const match = /^(\d+(?:\.\d+)?) ?([kmgtp]?)(?:i?b)?$/i.exec(text)
  if (!match) throw invalid(`invalid value for log opt ${option}: '${text}' (a size such as 10m is needed)`)
  const power = ['', 'k', 'm', 'g', 't', 'p'].indexOf((match[2] ?? '').toLowerCase())
  return Math.floor(Number(match[1]) * 1024 ** power)
}

/** What labels and environment of the container are shown with --details; the engine reads these options. */
const ATTRIBUTES = ['labels', 'labels-regex', 'env', 'env-regex', 'tag']
const HONOURED = [...ATTRIBUTES, 'max-size', 'max-file', 'compress', 'mode']

/** Checks the options that the file drivers share; unset bounds come from `defaults`. */
export function parseFileOptions(
  driver: string,
  options: LogOptions,
  defaults: { maxSize: number | undefined; maxFiles: number; compress: boolean },
): LogBounds | undefined {
  for (const name of Object.keys(options)) {
    if (!HONOURED.includes(name)) {
      throw invalid(`unknown log opt '${name}' for ${driver} log driver (there are: ${HONOURED.join(', ')})`)
    }
  }
  const mode = options['mode'] ?? 'blocking'
  if (mode !== 'blocking') throw invalid(`log opt mode: '${mode}' is not supported, only 'blocking' is`)
  const compress = parseFlag('compress', options['compress'], defaults.compress)
  const maxSize = options['max-size'] === undefined ? defaults.maxSize : parseSize('max-size', options['max-size'])
  const maxFiles = parseCount(options['max-file'], defaults.maxFiles)
  // As Docker: -1 and 0 are no bound.
  if (maxSize === undefined || maxSize <= 0) {
    if (maxFiles > 1 && options['max-file'] !== undefined) throw invalid('max-file cannot be used without max-size')
    if (compress && options['compress'] !== undefined)
      throw invalid('compress cannot be true when max-file is less than 2 or max-size is not set')
    return undefined
  }
  if (compress && maxFiles < 2 && options['compress'] !== undefined) {
    throw invalid('compress cannot be true when max-file is less than 2 or max-size is not set')
  }
  return { maxSize, maxFiles, compress }
}

function parseCount(text: string | undefined, fallback: number): number {
  if (text === undefined) return fallback
  const count = Number(text)
  if (!Number.isInteger(count))
    throw invalid(`invalid value for log opt max-file: '${text}' (a whole number is needed)`)
  if (count < 1) throw invalid('max-file cannot be less than 1')
  return count
}

function parseFlag(name: string, text: string | undefined, fallback: boolean): boolean {
  if (text === undefined) return fallback
  if (/^(1|t|true)$/i.test(text)) return true
  if (/^(0|f|false)$/i.test(text)) return false
  throw invalid(`invalid value for log opt ${name}: '${text}' (true or false is needed)`)
}
