import { constants } from 'node:os'

/** A signal by name (with or without SIG) or number; real-time signals as `RTMIN+3`. Undefined when there is none. */
export function signalNumber(text: string): number | undefined {
  if (/^\d{1,2}$/.test(text)) return Number(text) >= 1 && Number(text) <= 64 ? Number(text) : undefined
  const name = text.toUpperCase().replace(/^SIG/, '')
  const realTime = /^RT(MIN|MAX)(?:([+-])(\d{1,2}))?$/.exec(name)
  if (!realTime) return (constants.signals as Readonly<Record<string, number>>)[`SIG${name}`]
  const base = realTime[1] === 'MIN' ? 34 : 64
  const number = base + Number(`${realTime[2] ?? '+'}${realTime[3] ?? 0}`)
  return number >= 34 && number <= 64 ? number : undefined
}
