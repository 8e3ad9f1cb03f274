import { readdirSync, readFileSync } from 'node:fs'
import { identify, isAlive, type ProcessIdentity } from './identity.ts'
import { recordedProcesses, type SupervisorRecord } from './record.ts'

/**
 * Processes of an engine whose supervisor is gone: those in its record, and any nats-server with our configuration (the
 * supervisor may have died between starting it and writing it down; two on one store would ruin it).
 */
export function findLeftovers(record: SupervisorRecord | undefined, natsConfig: string): ProcessIdentity[] {
  const found = new Map<number, ProcessIdentity>()
  if (record !== undefined) {
    for (const process of recordedProcesses(record)) if (isAlive(process)) found.set(process.pid, process)
  }
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry) || !commandLine(entry).includes(natsConfig)) continue
    const process = identify(Number(entry))
    if (process !== undefined) found.set(process.pid, process)
  }
  return [...found.values()]
}

function commandLine(pid: string): string[] {
  try {
    const args = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
    return args[0]?.endsWith('nats-server') === true ? args : []
  } catch {
    return []
  }
}
