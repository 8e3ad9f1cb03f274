export { connectBus, type Bus, type Stoppable } from './bus.ts'
export { readCredentials, type BusOptions, type Credentials } from './connect.ts'
export type { EventQuery, SequencedEvent } from './events.ts'
export { newTraceparent } from './serve.ts'
