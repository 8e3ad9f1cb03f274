import { Counter, Gauge, Registry } from 'prom-client'
import { VERSION } from '../../../shared/service/version.ts'
import { devicePath } from './devices.ts'
import { BLKIO_FAMILIES, blkioEntries, GROUP_FAMILIES, INTERFACE_FAMILIES } from './families.ts'
import type { ContainerCounters, Snapshot } from './snapshot.ts'

export interface Exposition {
  readonly mediaType: string
  readonly text: string
}

const STATES = ['created', 'running', 'paused', 'restarting', 'removing', 'exited', 'dead']

type Labels = Record<string, string>
type Write = (labels: Labels, value: number | undefined) => void

/**
 * A snapshot in the Prometheus text format. The registry lives for one scrape: what is gone from the engine is gone from the metrics, and
 * two scrapes at once do not meet.
 */
export async function expose({ containers, services }: Snapshot): Promise<Exposition> {
  const registry = new Registry()
  const family = (type: 'counter' | 'gauge', name: string, help: string, ...labelNames: string[]): Write => {
    const options = { name, help, labelNames, registers: [registry] }
    if (type === 'gauge') {
      const gauge = new Gauge(options)
      return (labels, value) => value !== undefined && gauge.set(labels, value)
    }
    // The kernel does the counting: a counter of this scrape begins at 0 and is raised once.
    const counter = new Counter(options)
    return (labels, value) => value !== undefined && counter.inc(labels, value)
  }

  family(
    'gauge',
    'gantry_build_info',
    'Version of the engine; always 1.',
    'version',
    'node_version',
  )({ version: VERSION, node_version: process.version }, 1)
  const up = family('gauge', 'gantry_service_up', 'Whether a service answers and is ready.', 'service')
  const uptime = family('gauge', 'gantry_service_uptime_seconds', 'Age of its process.', 'service')
  for (const s of services) {
    up({ service: s.service }, Number(s.up))
    uptime({ service: s.service }, s.uptime)
  }
  if (containers) exposeContainers(containers, family)
  return { mediaType: registry.contentType, text: await registry.metrics() }
}

type MakeFamily = (type: 'counter' | 'gauge', name: string, help: string, ...labelNames: string[]) => Write

function exposeContainers(containers: readonly ContainerCounters[], family: MakeFamily): void {
  const total = family('gauge', 'gantry_containers', 'Containers in a state.', 'state')
  for (const state of STATES) total({ state }, containers.filter((c) => c.state === state).length)

  const own = ['id', 'name', 'image']
  const of = ({ id, name, image }: ContainerCounters): Labels => ({ id, name, image })
  const state = family('gauge', 'container_state', 'The state that a container is in; always 1.', ...own, 'state')
  for (const c of containers) state({ ...of(c), state: c.state }, 1)

  for (const { type, name, help, value } of GROUP_FAMILIES) {
    const write = family(type, name, help, ...own)
    for (const c of containers) if (c.group) write(of(c), value(c.group))
  }
  for (const blkio of BLKIO_FAMILIES) {
    const write = family('counter', blkio.name, blkio.help, ...own, 'device')
    for (const c of containers) {
      if (!c.group) continue
      for (const e of blkioEntries(c.group, blkio)) write({ ...of(c), device: devicePath(e.major, e.minor) }, e.value)
    }
  }
  for (const { type, name, help, value } of INTERFACE_FAMILIES) {
    const write = family(type, name, help, ...own, 'interface')
    for (const c of containers) {
      for (const [link, counters] of Object.entries(c.interfaces ?? {}))
        write({ ...of(c), interface: link }, value(counters))
    }
  }
}
