import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Firewall, type PublishedPort } from '../../services/network/firewall/index.ts'
import { syscallFn } from '../../shared/kernel/libc.ts'
import { createLogger } from '../../shared/log/index.ts'

/**
 * What a change of the firewall costs, with 5,000 published ports there and with none. Needs root; in a network namespace of its
 * own, so that nothing of the host is touched. Run: node --import tsx test/bench/nft.ts
 */

const CLONE_NEWNET = 0x40000000
syscallFn('int unshare(int flags)')(CLONE_NEWNET)
const dir = mkdtempSync(join(tmpdir(), 'gantry-bench-'))
const firewall = new Firewall({
  engine: 'gbench',
  log: createLogger('bench', 'silent'),
  forwardingFile: join(dir, 'forwarding'),
})

const ports = (first: number, count: number, hostIp = '0.0.0.0'): PublishedPort[] =>
  Array.from({ length: count }, (_, i) => ({
    protocol: 'tcp',
    hostIp,
    hostPort: first + i,
    address: `10.1.${(first + i) >> 8}.${(first + i) & 255}`,
    containerPort: 80,
  }))

/** Milliseconds: the median of `runs`. */
function median(runs: number, work: (run: number) => void): number {
  const times = Array.from({ length: runs }, (_, run) => {
    const begin = process.hrtime.bigint()
    work(run)
    return Number(process.hrtime.bigint() - begin) / 1e6
  })
  return times.toSorted((a, b) => a - b)[runs >> 1] ?? 0
}
const show = (what: string, ms: number, goal: string): void =>
  console.log(`${what.padEnd(48)}${ms.toFixed(2).padStart(8)} ms   ${goal}`)

function measure(state: string): void {
  show(
    `publish one port, ${state}`,
    median(51, (run) => firewall.setPorts(`one${run}`, ports(30000 + run, 1))),
    '<= 1 ms',
  )
  show(
    `withdraw one port, ${state}`,
    median(51, (run) => firewall.removePorts(`one${run}`)),
    '<= 1 ms',
  )
  show(
    `publish 500 ports, ${state}`,
    median(5, (run) => firewall.setPorts(`many${run}`, ports(40000 + run * 500, 500))),
    '<= 50 ms',
  )
  show(
    `withdraw 500 ports, ${state}`,
    median(5, (run) => firewall.removePorts(`many${run}`)),
    '',
  )
  const network = {
    internal: false,
    icc: true,
    masquerade: ['ipv4', 'ipv6'] as const,
    routed: [],
    unprotected: [],
    ipv6: false,
  }
  show(
    `add a network, ${state}`,
    median(11, (run) => firewall.addNetwork({ id: `n${run}`, bridge: `br-${run}`, ...network })),
    '',
  )
  show(
    `remove a network, ${state}`,
    median(11, (run) => firewall.removeNetwork(`n${run}`)),
    '',
  )
}

firewall.sync({ networks: [], ports: new Map() })
measure('none there')
firewall.setPorts('background', ports(10000, 5000))
measure('5,000 there')
show(
  'rebuild the whole table, 5,000 ports',
  median(3, () => firewall.sync({ networks: [], ports: new Map([['background', ports(10000, 5000)]]) })),
  '<= 1000 ms',
)
firewall.close()
rmSync(dir, { recursive: true })
