import { nanos, RetentionPolicy, StorageType, type JetStreamManager, type StreamConfig } from 'nats'
import { EVENTS_STREAM, FACTS_STREAM } from './subjects.ts'

const DAY_MS = 86_400_000

const STREAMS: readonly (Partial<StreamConfig> & { name: string })[] = [
  {
    name: EVENTS_STREAM,
    description: "Docker's events, for replay and resumption",
    subjects: ['gantry.*.events.>'],
    retention: RetentionPolicy.Limits,
    storage: StorageType.File,
    max_age: nanos(30 * DAY_MS),
    max_bytes: 1024 * 1024 * 1024,
    duplicate_window: nanos(120_000),
  },
  {
    name: FACTS_STREAM,
    description: 'What the lower services tell the engine',
    subjects: ['gantry.*.facts.>'],
    retention: RetentionPolicy.Limits,
    storage: StorageType.File,
    max_age: nanos(DAY_MS),
    max_bytes: 128 * 1024 * 1024,
    duplicate_window: nanos(120_000),
  },
]

/** Makes the streams that are missing. Whoever connects first does it; doing it again changes nothing. */
export async function ensureStreams(manager: JetStreamManager): Promise<void> {
  for (const config of STREAMS) await manager.streams.add(config)
}
