import { constants } from 'node:os'
import { invalid } from '../../../shared/errors/index.ts'

const RTMIN = 34
const RTMAX = 64

/**
 * A signal's number from what a Docker user writes: `TERM`, `SIGTERM`, `15`, `RTMIN+1`, `RTMAX-2` (signal(7)).
 * @throws `invalid` "Invalid signal: x".
 */
export function signalNumber(text: string): number {
  if (/^\d+$/.test(text)) {
    const n = Number(text)
    if (n >= 1 && n <= RTMAX) return n
    throw invalid(`Invalid signal: ${text}`)
  }
  const name = text.toUpperCase().replace(/^SIG/, '')
  const known = (constants.signals as Record<string, number>)[`SIG${name}`]
  if (known !== undefined) return known
  const realtime = /^RT(MIN|MAX)(?:([+-])(\d+))?$/.exec(name)
  if (realtime) {
    const n = (realtime[1] === 'MIN' ? RTMIN : RTMAX) + Number(`${realtime[2] ?? '+'}${realtime[3] ?? '0'}`)
    if (n >= RTMIN && n <= RTMAX) return n
  }
  throw invalid(`Invalid signal: ${text}`)
}

export const SIGKILL = 9
export const SIGTERM = 15
