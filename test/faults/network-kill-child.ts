import { createHash } from 'node:crypto'
import { HeldPorts } from '../../services/network/ports/index.ts'
import { SandboxFiles } from '../../services/network/sandbox-files.ts'
import type { EndpointRequest, PortRequest } from '../../shared/contracts/index.ts'
import { isKind } from '../../shared/errors/index.ts'
import { NetlinkSocket } from '../../shared/kernel/netlink.ts'
import { Nft } from '../../shared/kernel/nft.ts'
import { Store } from '../../shared/store/store.ts'
import { type NetworkService, on, sandbox, startNetworkService } from '../support/network-service.ts'
import { firewallDifferences } from './network-firewall.ts'

/**
 * A network service that recovers, then does random things, and kills itself before its n-th step: a message to the kernel, a
 * firewall change, a transaction or one statement of it, a file, a port of the host. What its recovery left in the firewall is
 * compared with the database.
 */
interface Order {
  readonly dir: string
  readonly engine: string
  /** Of macvlan interfaces. */
  readonly parent: string
  readonly seed: number
  readonly step: number
}

const order = JSON.parse(process.argv[2] ?? '') as Order

let steps = 0
function count(): void {
  steps++
  if (steps === order.step) process.kill(process.pid, 'SIGKILL')
}

/** Counts calls of a method. */
function counted(prototype: object, name: string): void {
  const method = Reflect.get(prototype, name) as (...args: unknown[]) => unknown
  Reflect.set(prototype, name, function (this: unknown, ...args: unknown[]): unknown {
    count()
    return Reflect.apply(method, this, args)
  })
}
counted(NetlinkSocket.prototype, 'exchange')
counted(NetlinkSocket.prototype, 'exchangeOnWorker')
counted(Nft.prototype, 'run')
counted(Store.prototype, 'transaction')
counted(Store.prototype, 'run')
counted(SandboxFiles.prototype, 'write')
counted(SandboxFiles.prototype, 'remove')
counted(HeldPorts.prototype, 'hold')
counted(HeldPorts.prototype, 'drop')

/** Numbers that are the same for the same seed (mulberry32). */
function randomNumbers(seed: number): (below: number) => number {
  let a = seed
  return (below) => {
    a = (a + 0x6d2b79f5) | 0
    let t = Math.imul(a ^ (a >>> 15), 1 | a)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) % below
  }
}
const random = randomNumbers(order.seed)
const pick = <T>(list: readonly [T, ...T[]]): T => list[random(list.length)] ?? list[0]
const idOf = (name: string): string => createHash('sha256').update(name).digest('hex')

const containers = ['c0', 'c1', 'c2', 'c3'] as const
const networks = ['n0', 'n1', 'm0'] as const

/** By name: one has a known subnet, and one is no bridge. */
const specs = {
  n0: () => ({ EnableIPv6: random(2) === 0, IPAM: { Config: [{ Subnet: '10.88.0.0/24' }] } }),
  n1: () => ({ EnableIPv6: random(2) === 0 }),
  m0: () => ({ Driver: 'macvlan', Options: { parent: order.parent } }),
}

/** A wish for a network, sometimes for an address that others wish for too, or with a link. */
function wish(network: 'bridge' | (typeof networks)[number]): EndpointRequest {
  const other = pick(containers)
  if (network === 'n0' && random(3) === 0) return on(network, { ipv4: `10.88.0.${10 + random(3)}` })
  if (network !== 'm0' && random(3) === 0) return on(network, { links: [{ id: idOf(other), name: other, alias: 'l' }] })
  return on(network)
}

/** Random ports, and some that others want too. */
const ports = (): PortRequest[] =>
  [
    { protocol: 'tcp', containerPort: 80, hostIp: '', hostPort: 0 } as const,
    { protocol: 'udp', containerPort: 53, hostIp: '', hostPort: 10_000 + random(3) } as const,
  ].slice(0, random(4))

async function act(net: NetworkService): Promise<unknown> {
  const container = pick(containers)
  const id = idOf(container)
  const network = pick(networks)
  switch (random(8)) {
    case 0:
      return net.call('network.create', { id: idOf(network), spec: { Name: network, ...specs[network]() } })
    case 1:
      return net.call('network.remove', { ref: network })
    case 2:
      return net.call('endpoint.connect', { id, endpoint: wish(pick([...networks, 'bridge'])) })
    case 3:
      return net.call('endpoint.disconnect', { id, network: pick([network, 'bridge']), force: false })
    case 4:
    case 5:
      return net.call('sandbox.delete', { id })
    default:
      return net.call('sandbox.create', {
        ...sandbox(container),
        id,
        mode: random(4) === 0 ? { kind: 'container', target: idOf(pick(containers)) } : { kind: 'private' },
        endpoints: random(2) === 0 ? [wish('bridge')] : [wish(network), wish('bridge')],
        ports: ports(),
      })
  }
}

const expected = ['not-found', 'conflict', 'forbidden', 'invalid'] as const

const net = await startNetworkService(order.dir, order.engine)
for (const difference of firewallDifferences(net, order.engine)) process.stderr.write(`firewall: ${difference}\n`)
for (let round = 0; round < 40; round++) {
  const outcomes = await Promise.allSettled([act(net), act(net), act(net)])
  for (const outcome of outcomes) {
    if (outcome.status === 'fulfilled' || expected.some((kind) => isKind(outcome.reason, kind))) continue
    process.stderr.write(`unexpected: ${String((outcome.reason as Error).stack)}\n`)
    process.exitCode = 1
  }
}
await net.stop()
