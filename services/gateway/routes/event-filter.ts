import type { EventMessage, Filters } from '../../../shared/contracts/index.ts'

export const EVENT_FILTERS = [
  'config',
  'container',
  'daemon',
  'event',
  'image',
  'label',
  'network',
  'node',
  'plugin',
  'scope',
  'secret',
  'service',
  'type',
  'volume',
]

/** Filters that name an object: by id, id prefix or name, in events of that type. */
const OBJECTS = ['container', 'plugin', 'volume', 'network', 'daemon', 'node', 'secret', 'config', 'service']

type Predicate = (event: EventMessage) => boolean

/** Whether an event passes Docker's filters: within one filter any value will do, all filters must agree. */
export function eventMatcher(filters: Filters): Predicate {
  const checks = Object.entries(filters)
    .filter(([, values]) => values.length > 0)
    .map(([key, values]) => check(key, values))
  return (event) => checks.every((matches) => matches(event))
}

function check(key: string, values: readonly string[]): Predicate {
  switch (key) {
    case 'type':
      return (event) => values.includes(event.Type)
    case 'scope':
      return (event) => values.includes(event.scope)
    case 'event':
      // `exec_create: ls` and `health_status: healthy` are also found by what stands before the colon.
      return ({ Action }) => values.includes(Action) || values.includes(Action.split(':')[0] ?? '')
    case 'label':
      return ({ Actor }) => values.every((label) => hasLabel(Actor.Attributes, label))
    case 'image':
      return (event) => imageNames(event).some((name) => values.includes(name))
    default:
      return OBJECTS.includes(key) ? (event) => event.Type === key && isNamed(event, values) : () => false
  }
}

function hasLabel(attributes: Readonly<Record<string, string>>, label: string): boolean {
  const at = label.indexOf('=')
  return at < 0 ? label in attributes : attributes[label.slice(0, at)] === label.slice(at + 1)
}

const isNamed = ({ Actor }: EventMessage, values: readonly string[]): boolean =>
  values.some((value) => Actor.ID.startsWith(value) || (Actor.Attributes['name'] ?? '').startsWith(value))

/** An image event's own names, or the image of a container; each also without its tag. */
function imageNames({ Type, Actor }: EventMessage): string[] {
  const name = Actor.Attributes[Type === 'image' ? 'name' : 'image'] ?? ''
  return [Actor.ID, name].flatMap((n) => [
    n,
    n.slice(n.lastIndexOf('/') + 1).includes(':') ? n.slice(0, n.lastIndexOf(':')) : n,
  ])
}
