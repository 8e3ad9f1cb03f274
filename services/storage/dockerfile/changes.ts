import { invalid } from '../../../shared/errors/index.ts'
import { durationNs } from './duration.ts'
import { parsePorts } from './ports.ts'
import { signalNumber } from './signals.ts'
import { expand, splitWords } from './words.ts'

/** The `config` member of an image configuration, as far as instructions change it. */
export interface RunConfig {
  User?: string
  ExposedPorts?: Record<string, object>
  Env?: string[]
  Entrypoint?: string[] | null
  Cmd?: string[] | null
  Volumes?: Record<string, object>
  WorkingDir?: string
  Labels?: Record<string, string>
  StopSignal?: string
  Healthcheck?: Healthcheck
  OnBuild?: string[]
  Shell?: string[]
  [member: string]: unknown
}

/** Durations in nanoseconds. */
export interface Healthcheck {
  Test: string[]
  Interval?: number
  Timeout?: number
  StartPeriod?: number
  StartInterval?: number
  Retries?: number
}

const DEFAULT_SHELL = ['/bin/sh', '-c']

/** Of those instructions that exist, which cannot stand in `--change`. */
const BUILD_ONLY = new Set(['ADD', 'ARG', 'COPY', 'FROM', 'MAINTAINER', 'RUN'])

type Apply = (config: RunConfig, rest: string, name: string) => void

/**
 * Applies Dockerfile instructions (`docker import -c`, `docker commit -c`) to a copy of `config`. A bad one is `invalid`, and
 * the message names it.
 */
export function applyChanges(config: RunConfig, changes: readonly string[]): RunConfig {
  const changed = structuredClone(config)
  for (const line of changes.flatMap(instructionLines)) applyChange(changed, line)
  return changed
}

/** Lines without comments; a backslash at the end joins the next. */
const instructionLines = (text: string): string[] =>
  text
    .replace(/\\[ \t]*\r?\n/g, '')
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))

function applyChange(config: RunConfig, line: string): void {
  const [, word = '', rest = ''] = /^(\S+)\s*([^]*)$/.exec(line) ?? []
  const name = word.toUpperCase()
  const apply = INSTRUCTIONS[name]
  if (!apply) {
    if (BUILD_ONLY.has(name)) throw invalid(`${name} is not a valid change command`)
    throw invalid(`dockerfile parse error on line 1: unknown instruction: ${word}`)
  }
  try {
    apply(config, rest.trim(), name)
  } catch (error) {
    const message = (error as Error).message
    throw message.includes(name) ? error : invalid(`${name}: ${message}`, { cause: error })
  }
}

const INSTRUCTIONS: Readonly<Record<string, Apply | undefined>> = {
  CMD: (config, rest) => {
    config.Cmd = command(config, rest)
  },
  ENTRYPOINT: (config, rest) => {
    config.Entrypoint = command(config, rest)
  },
  ENV: (config, rest, name) => {
    const env = environment(config)
    // All values of one line see the variables as they were before it.
    for (const [key, value] of pairs(rest, name)) setEnv(config, key, expand(value, env))
  },
  LABEL: (config, rest, name) => {
    const env = environment(config)
    config.Labels = { ...config.Labels }
    for (const [key, value] of pairs(rest, name)) config.Labels[expand(key, env)] = expand(value, env)
  },
  EXPOSE: (config, rest, name) => {
    config.ExposedPorts = { ...config.ExposedPorts }
    for (const word of atLeastOne(rest, name)) {
      for (const port of parsePorts(expand(word, environment(config)))) config.ExposedPorts[port] = {}
    }
  },
  USER: (config, rest, name) => {
    config.User = expand(exactlyOne(rest, name), environment(config))
  },
  VOLUME: (config, rest, name) => {
    config.Volumes = { ...config.Volumes }
    for (const volume of jsonArray(rest) ?? atLeastOne(rest, name)) {
      const path = expand(volume, environment(config)).trim()
      if (path === '') throw invalid('VOLUME specified can not be an empty string')
      config.Volumes[path] = {}
    }
  },
  WORKDIR: (config, rest, name) => {
    if (rest === '') throw invalid(`${name} requires exactly one argument`)
    config.WorkingDir = joinPath(config.WorkingDir ?? '', expand(rest, environment(config)))
  },
  STOPSIGNAL: (config, rest, name) => {
    const signal = expand(exactlyOne(rest, name), environment(config))
    if (signalNumber(signal) === undefined) throw invalid(`invalid signal: ${signal}`)
    config.StopSignal = signal
  },
  ONBUILD: (config, rest) => {
    const trigger = /^\S*/.exec(rest)?.[0].toUpperCase() ?? ''
    if (trigger === '') throw invalid('ONBUILD requires at least one argument')
    if (trigger === 'ONBUILD') throw invalid("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")
    if (trigger === 'FROM' || trigger === 'MAINTAINER') throw invalid(`${trigger} isn't allowed as an ONBUILD trigger`)
    config.OnBuild = [...(config.OnBuild ?? []), rest]
  },
  HEALTHCHECK: (config, rest) => {
    config.Healthcheck = healthcheck(rest)
  },
  SHELL: (config, rest) => {
    const shell = jsonArray(rest)
    if (!shell) throw invalid('SHELL requires the arguments to be in JSON form')
    if (shell.length === 0) throw invalid('SHELL requires at least one argument')
    config.Shell = shell
  },
}

/** A JSON array of strings, or undefined: the text is then a shell command. */
function jsonArray(text: string): string[] | undefined {
  if (!text.startsWith('[')) return undefined
  try {
    const value: unknown = JSON.parse(text)
    return Array.isArray(value) && value.every((v): v is string => typeof v === 'string') ? value : undefined
  } catch {
    return undefined
  }
}

const command = (config: RunConfig, text: string): string[] =>
  jsonArray(text) ?? (text === '' ? [] : [...(config.Shell ?? DEFAULT_SHELL), text])

export function environment(config: RunConfig): Map<string, string> {
  return new Map((config.Env ?? []).map((entry) => splitAt(entry, entry.indexOf('='))))
}

const splitAt = (text: string, at: number): [string, string] =>
  at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)]

function setEnv(config: RunConfig, key: string, value: string): void {
  const env = [...(config.Env ?? [])]
  const at = env.findIndex((entry) => entry.startsWith(`${key}=`) || entry === key)
  if (at < 0) env.push(`${key}=${value}`)
  else env[at] = `${key}=${value}`
  config.Env = env
}

/** `a=b c="d e"`, or the old form `a everything else`. */
function pairs(rest: string, name: string): [string, string][] {
  const words = splitWords(rest)
  const first = words[0]
  if (first === undefined) throw invalid(`${name} requires at least one argument`)
  if (!first.includes('=')) {
    if (words.length < 2) throw invalid(`${name} must have two arguments`)
    return [[first, rest.slice(first.length).trim()]]
  }
  return words.map((word) => {
    if (!word.includes('=')) throw invalid(`Syntax error - can't find = in "${word}". Must be of the form: name=value`)
    const [key, value] = splitAt(word, word.indexOf('='))
    if (key === '') throw invalid(`${name} names can not be blank`)
    return [key, value]
  })
}

function atLeastOne(rest: string, name: string): string[] {
  const words = splitWords(rest)
  if (words.length === 0) throw invalid(`${name} requires at least one argument`)
  return words
}

function exactlyOne(rest: string, name: string): string {
  const words = splitWords(rest)
  if (words.length !== 1 || words[0] === undefined) throw invalid(`${name} requires exactly one argument`)
  return words[0]
}

function joinPath(base: string, path: string): string {
  const parts: string[] = []
  for (const part of (path.startsWith('/') ? path : `${base}/${path}`).split('/')) {
    if (part === '..') parts.pop()
    else if (part !== '' && part !== '.') parts.push(part)
  }
  return `/${parts.join('/')}`
}

type DurationMember = 'Interval' | 'Timeout' | 'StartPeriod' | 'StartInterval'

const DURATIONS: Readonly<Record<string, DurationMember | undefined>> = {
  interval: 'Interval',
  timeout: 'Timeout',
  'start-period': 'StartPeriod',
  'start-interval': 'StartInterval',
}

function healthcheck(text: string): Healthcheck {
  const check: Healthcheck = { Test: [] }
  let rest = text
  for (let flag = nextFlag(rest); flag; flag = nextFlag(rest)) {
    rest = flag.rest
    if (flag.name === 'retries') {
      if (!/^[1-9]\d*$/.test(flag.value)) throw invalid(`--retries must be at least 1 (not ${flag.value})`)
      check.Retries = Number(flag.value)
    } else {
      const member = DURATIONS[flag.name]
      if (!member) throw invalid(`unknown flag: --${flag.name}`)
      check[member] = durationNs(flag.value, `--${flag.name}`)
    }
  }
  const [, type = '', command = ''] = /^(\S*)\s*([^]*)$/.exec(rest) ?? []
  if (type === '') throw invalid('HEALTHCHECK requires at least one argument')
  if (type.toUpperCase() === 'NONE') {
    if (command !== '') throw invalid('HEALTHCHECK NONE takes no arguments')
    return { Test: ['NONE'] }
  }
  if (type.toUpperCase() !== 'CMD') throw invalid(`Unknown type "${type}" in HEALTHCHECK (try CMD)`)
  if (command === '') throw invalid('Missing command after HEALTHCHECK CMD')
  const exec = jsonArray(command)
  check.Test = exec ? ['CMD', ...exec] : ['CMD-SHELL', command]
  return check
}

function nextFlag(text: string): { name: string; value: string; rest: string } | undefined {
  const match = /^--([a-z-]+)(?:=(\S*))?\s*([^]*)$/.exec(text)
  return match ? { name: match[1] ?? '', value: match[2] ?? '', rest: match[3] ?? '' } : undefined
}
