import {
  cgroupContract,
  engineContract,
  execContract,
  gatewayContract,
  networkContract,
  storageContract,
  type Contract,
} from '../../shared/contracts/index.ts'
import { BUS_USERS, SERVICES, type BusUser, type ServiceName } from './paths.ts'

const CONTRACTS: Readonly<Record<ServiceName, Contract>> = {
  gateway: gatewayContract,
  engine: engineContract,
  network: networkContract,
  storage: storageContract,
  cgroup: cgroupContract,
  exec: execContract,
}

/** Types of Docker events that a service may tell (it owns what they tell of). */
const EVENT_TYPES: Readonly<Record<ServiceName, readonly string[]>> = {
  gateway: ['daemon'],
  engine: ['container', 'daemon'],
  network: ['network', 'plugin'],
  storage: ['image', 'volume', 'builder', 'plugin'],
  cgroup: ['plugin'],
  exec: ['plugin'],
}

/** Streams whose messages a user reads. After a restart every relay looks which of its events EVENTS has already. */
const READS: Readonly<Record<BusUser, readonly string[]>> = {
  gateway: ['EVENTS'],
  engine: ['EVENTS', 'FACTS'],
  network: ['EVENTS'],
  storage: ['EVENTS'],
  cgroup: ['EVENTS'],
  exec: ['EVENTS'],
  admin: ['EVENTS', 'FACTS'],
}

/** What a bus user may do, in the terms of nats-server's `permissions`. */
export interface Permissions {
  readonly publish: readonly string[]
  readonly subscribe: readonly string[]
}

/** Subjects of the JetStream API that a consumer of `stream` sends to (NATS ADR-1, JetStream JSON API). */
const consumerSubjects = (stream: string): string[] => [
  `$JS.API.CONSUMER.*.${stream}`, // LIST, NAMES, CREATE (old form)
  `$JS.API.CONSUMER.*.${stream}.>`, // CREATE, INFO, DELETE
  `$JS.API.CONSUMER.*.*.${stream}.>`, // DURABLE.CREATE, MSG.NEXT
  `$JS.API.STREAM.MSG.GET.${stream}`,
  `$JS.API.DIRECT.GET.${stream}`,
  `$JS.ACK.${stream}.>`,
  `$JS.FC.${stream}.>`,
]

/** Where replies go: every user has a prefix of its own, so that nobody reads another's. */
const inbox = (user: BusUser): string => `_INBOX_${user}.>`

/** Who calls a service's verbs; the operator also asks for its statistics ($SRV). */
function callersOf(service: ServiceName): BusUser[] {
  const specs = Object.values(CONTRACTS[service].verbs)
  return BUS_USERS.filter(
    (user) => user === 'admin' || specs.some((spec) => (spec.callers as readonly string[]).includes(user)),
  )
}

/**
 * The subjects that one bus user needs and no more: the verbs whose contract names it as a caller, its own verbs, replies to
 * those who call them, what it may tell, and its own inbox. Replies are not left to nats-server's `allow_responses`: a
 * restarted server has forgotten who asked, and the answers to what was under way would be refused.
 */
export function permissionsOf(user: BusUser, node: string): Permissions {
  const publish: string[] = []
  const subscribe = [inbox(user)]
  for (const service of SERVICES) {
    for (const [verb, spec] of Object.entries(CONTRACTS[service].verbs)) {
      if ((spec.callers as readonly string[]).includes(user)) publish.push(`gantry.${node}.${service}.${verb}`)
    }
  }
  if (user === 'admin') {
    publish.push('$SRV.>')
    subscribe.push(`gantry.${node}.events.>`, `gantry.${node}.facts.>`)
  } else {
    subscribe.push(`gantry.${node}.${user}.>`, '$SRV.>')
    publish.push(
      `gantry.${node}.changes.${user}`,
      ...callersOf(user).map(inbox),
      ...EVENT_TYPES[user].map((type) => `gantry.${node}.events.${type}.>`),
      `gantry.${node}.facts.${user}.>`,
      `gantry.${node}.facts.service.ready`,
    )
  }
  if (user === 'cgroup' || user === 'network') publish.push(`gantry.${node}.stats.>`)
  if (user === 'gateway' || user === 'admin') subscribe.push(`gantry.${node}.stats.>`, `gantry.${node}.changes.>`)
  publish.push('$JS.API.INFO', '$JS.API.STREAM.NAMES', '$JS.API.STREAM.LIST')
  for (const stream of ['EVENTS', 'FACTS']) {
    // Whoever comes first makes the streams.
    publish.push(...['CREATE', 'UPDATE', 'INFO'].map((action) => `$JS.API.STREAM.${action}.${stream}`))
  }
  publish.push(...READS[user].flatMap(consumerSubjects))
  return { publish, subscribe }
}

/** The permissions of every bus user. */
export function allPermissions(node: string): Record<BusUser, Permissions> {
  return Object.fromEntries(BUS_USERS.map((user) => [user, permissionsOf(user, node)])) as Record<BusUser, Permissions>
}
