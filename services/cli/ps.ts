import type { Port } from 'dockerode'
import { withDocker } from './docker.ts'
import { table } from './table.ts'

/** `gantry ps` */
export async function ps(options: { all?: boolean }): Promise<void> {
  const containers = await withDocker((docker) => docker.listContainers({ all: options.all === true }))
  const rows = containers.map((container) => [
    container.Id.slice(0, 12),
    container.Image,
    container.Status,
    container.Ports.map(portText).join(', '),
    container.Names.map((name) => name.replace(/^\//, '')).join(', '),
  ])
  process.stdout.write(table([['CONTAINER ID', 'IMAGE', 'STATUS', 'PORTS', 'NAMES'], ...rows]))
}

function portText(port: Port): string {
  const inside = `${port.PrivatePort}/${port.Type}`
  return port.PublicPort === undefined ? inside : `${port.IP}:${port.PublicPort}->${inside}`
}
