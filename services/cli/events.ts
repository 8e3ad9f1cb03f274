import type { EventMessage } from '../../shared/contracts/index.ts'
import { apiLines } from './api.ts'

/** `gantry events`: the API's /events. */
export async function events(options: { since?: string; until?: string; json?: boolean }): Promise<void> {
  const query = new URLSearchParams()
  if (options.since !== undefined) query.set('since', timestamp(options.since))
  if (options.until !== undefined) query.set('until', timestamp(options.until))
  for await (const event of apiLines<EventMessage>(`/events?${query.toString()}`)) {
    process.stdout.write(options.json === true ? JSON.stringify(event) + '\n' : eventLine(event))
  }
}

function eventLine(event: EventMessage): string {
  const attributes = Object.entries(event.Actor.Attributes).map(([name, value]) => `${name}=${value}`)
  const time = new Date(event.timeNano / 1e6).toISOString()
  return `${time} ${event.Type} ${event.Action} ${event.Actor.ID} (${attributes.join(', ')})\n`
}

/** A duration (`10m`) counts back from now; everything else the API reads itself. */
function timestamp(text: string): string {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text)
  if (match === null) return text
  const unit = { ms: 0.001, s: 1, m: 60, h: 3600, d: 86_400 }[match[2] as 'ms' | 's' | 'm' | 'h' | 'd']
  return (Date.now() / 1000 - Number(match[1]) * unit).toFixed(3)
}
