import { invalid } from '../../../shared/errors/index.ts'
import type { Config } from './schema.ts'

type LogOptions = Readonly<Record<string, string>>

/** Of whom a log's details and tag tell. */
export interface LogSubject {
  readonly id: string
  readonly name: string
  readonly image: string
  readonly imageId: string
  readonly config: Config
}

const SHORT = 12
/** What a tag may name (https://docs.docker.com/engine/logging/log_tags/). */
const TAG_FIELDS: Readonly<Record<string, (subject: LogSubject) => string>> = {
  ID: ({ id }) => id.slice(0, SHORT),
  FullID: ({ id }) => id,
  Name: ({ name }) => name,
  ImageID: ({ imageId }) => imageId.replace(/^sha256:/, '').slice(0, SHORT),
  ImageFullID: ({ imageId }) => imageId,
  ImageName: ({ image }) => image,
  DaemonName: () => 'docker',
}
const PLACE = /\{\{\s*(.*?)\s*\}\}/g

/** @throws `invalid` naming the option, for a pattern or a template that could not be honoured. */
export function checkLogDetails(options: LogOptions): void {
  for (const name of ['env-regex', 'labels-regex']) pattern(name, options[name])
  for (const [, place = ''] of (options['tag'] ?? '').matchAll(PLACE)) field(place)
}

function pattern(option: string, text: string | undefined): RegExp | undefined {
  try {
    return text ? new RegExp(text) : undefined
  } catch (error) {
    throw invalid(`invalid value for log opt ${option}: ${(error as Error).message}`)
  }
}

function field(place: string): (subject: LogSubject) => string {
  const found =
    place.startsWith('.') && Object.hasOwn(TAG_FIELDS, place.slice(1)) ? TAG_FIELDS[place.slice(1)] : undefined
  if (found) return found
  const known = Object.keys(TAG_FIELDS).map((name) => `{{.${name}}}`)
  throw invalid(`invalid value for log opt tag: {{${place}}} is not one of ${known.join(', ')}`)
}

/** What `docker logs --details` prefixes to each line: the labels and variables that the log options choose, and the tag. */
export function logDetails(subject: LogSubject, options: LogOptions): string {
  const { config } = subject
  const env = (config.Env ?? []).map((e): [string, string] => [e.slice(0, e.indexOf('=')), e.slice(e.indexOf('=') + 1)])
  const tag = (options['tag'] ?? '').replace(PLACE, (_, place: string) => field(place)(subject))
  const pairs = [
    ...chosen(env, options['env'], pattern('env-regex', options['env-regex'])),
    ...chosen(Object.entries(config.Labels ?? {}), options['labels'], pattern('labels-regex', options['labels-regex'])),
    ...(tag === '' ? [] : [['tag', tag] as const]),
  ]
  return pairs.map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`).join(',')
}

function chosen(all: readonly [string, string][], names: string | undefined, regex: RegExp | undefined) {
  const listed = names ? names.split(',') : []
  const named = listed.flatMap((name) => all.filter(([key]) => key === name))
  return [...named, ...all.filter(([key]) => !listed.includes(key) && regex?.test(key))]
}
