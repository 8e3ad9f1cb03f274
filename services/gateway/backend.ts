import type { Bus, EventQuery, SequencedEvent, Stoppable } from '../../shared/bus/index.ts'
import {
  cgroupContract,
  engineContract,
  execContract,
  networkContract,
  storageContract,
  type CgroupContract,
  type Client,
  type EngineContract,
  type ExecContract,
  type NetworkContract,
  type StatsSample,
  type StorageContract,
  type StreamRef,
} from '../../shared/contracts/index.ts'
import { openStream, type StreamConnection } from '../../shared/streams/index.ts'
import { resilient } from './calls/resilient.ts'

/** All that the API's handlers need of the rest of the engine. */
export interface Backend {
  readonly engine: Client<EngineContract>
  readonly storage: Client<StorageContract>
  readonly network: Client<NetworkContract>
  readonly cgroup: Client<CgroupContract>
  readonly exec: Client<ExecContract>
  /** Replays, then goes on live; ends at `until`. */
  events(query: EventQuery): AsyncIterable<SequencedEvent>
  /** Hears the samples of all containers. */
  readonly onStats: (handle: (sample: StatsSample) => void) => Stoppable
  /** Hears that the engine shows something else, or may. Absent: nobody says, and nothing that it showed is shown again. */
  readonly onChanges?: (told: () => void) => Stoppable
  open(stream: StreamRef): StreamConnection
}

export const busBackend = (bus: Bus): Backend => ({
  engine: resilient(bus.client(engineContract)),
  storage: resilient(bus.client(storageContract)),
  network: resilient(bus.client(networkContract)),
  cgroup: resilient(bus.client(cgroupContract)),
  exec: resilient(bus.client(execContract)),
  events: (query) => bus.events(query),
  onStats: (handle) => bus.onStats(handle),
  onChanges: (told) => bus.onChanges('engine', told),
  open: openStream,
})
