import assert from 'node:assert/strict'
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { SandboxInfo } from '../../shared/contracts/index.ts'
import { syscallFn } from '../../shared/kernel/libc.ts'
import { writeSysctl } from '../../shared/kernel/sysctl.ts'
import { type NetworkService, newId, on, sandbox, startNetworkService } from '../support/network-service.ts'
import { until } from '../support/until.ts'

/**
 * Published ports, reached through the host by containers of the same network: where br_netfilter is on, that never leaves the bridge.
 * Real driver and firewall, in a network namespace of this process's own that plays the host.
 */
const CLONE_NEWNET = 0x40000000
const engine = 'ghair'
const dir = mkdtempSync(join(tmpdir(), 'gantry-network-hairpin-'))
let net: NetworkService
const servers: ChildProcess[] = []

const brNetfilter = (on: '0' | '1'): void => {
  for (const family of ['iptables', 'ip6tables']) writeSysctl(`net/bridge/bridge-nf-call-${family}`, on)
}

const page = (from: SandboxInfo, url: string): string => {
  try {
    return execFileSync('nsenter', [`--net=${from.netns}`, 'curl', '-s', '--noproxy', '*', '-m1', url], {
      encoding: 'utf8',
      timeout: 5000,
    })
  } catch {
    return ''
  }
}
const portOf = (info: SandboxInfo): string => `${engine}-${info.endpoints[0]?.endpointId.slice(0, 9)}`
const flags = (info: SandboxInfo): string =>
  execFileSync('bridge', ['-d', 'link', 'show', 'dev', portOf(info)], { encoding: 'utf8' })
/** A container on a network with a web server, whose port 80 is published on the host. */
async function serve(network: string, hostPort: number): Promise<SandboxInfo> {
  const ports = [{ protocol: 'tcp', containerPort: 80, hostIp: '', hostPort }] as const
  const info = await net.call(
    'sandbox.create',
    sandbox(`web${hostPort}`, { endpoints: [on(network)], ports: [...ports] }),
  )
  servers.push(spawn('nsenter', [`--net=${info.netns}`, 'busybox', 'httpd', '-f', '-p', '80', '-h', join(dir, 'www')]))
  await until('the server', 5000, () => page(info, 'http://127.0.0.1/page') === 'mine')
  return info
}

before(async () => {
  syscallFn('int unshare(int flags)')(CLONE_NEWNET)
  execFileSync('ip', ['link', 'set', 'lo', 'up'])
  net = await startNetworkService(dir, engine)
  mkdirSync(join(dir, 'www'))
  writeFileSync(join(dir, 'www', 'page'), 'mine')
})

after(async () => {
  for (const server of servers) {
    server.kill('SIGKILL')
    await once(server, 'exit')
  }
  await net.call('sandbox.reconcile', { keep: [] })
  await net.stop()
  rmSync(dir, { recursive: true, force: true })
})

void describe('on a network', () => {
  let web: SandboxInfo
  before(async () => {
    await net.call('network.create', { id: newId(), spec: { Name: 'mine' } })
    web = await serve('mine', 8080)
  })

  for (const bridged of ['1', '0'] as const) {
    void it(`a container reaches its own published port, br_netfilter ${bridged === '1' ? 'on' : 'off'}`, () => {
      brNetfilter(bridged)
      assert.equal(page(web, `http://${web.endpoints[0]?.gateway4}:8080/page`), 'mine')
    })
  }

  void it('a restart that finds a port without hairpin mode switches it on', async () => {
    assert.match(flags(web), /hairpin on/)
    execFileSync('bridge', ['link', 'set', 'dev', portOf(web), 'hairpin', 'off'])
    await net.stop()
    net = await startNetworkService(dir, engine)
    assert.match(flags(web), /hairpin on/)
    assert.match(flags(web), /isolated off/)
  })
})

void describe('on a network without icc', () => {
  let web: SandboxInfo
  let other: SandboxInfo
  before(async () => {
    brNetfilter('0')
    const spec = { Name: 'apart', Options: { 'com.docker.network.bridge.enable_icc': 'false' } }
    await net.call('network.create', { id: newId(), spec })
    web = await serve('apart', 8081)
    other = await net.call('sandbox.create', sandbox('other', { endpoints: [on('apart')] }))
    const { gateway4 } = other.endpoints[0] ?? {}
    await until('its port carries frames', 5000, () => page(other, `http://${gateway4}:8081/page`) === 'mine')
  })

  const check = (): void => {
    const [endpoint] = web.endpoints
    for (const from of [web, other]) assert.equal(page(from, `http://${endpoint?.gateway4}:8081/page`), 'mine')
    for (let n = 0; n < 2; n++) assert.equal(page(other, `http://${endpoint?.ipv4}/page`), '')
  }

  void it('neighbours reach published ports and nothing else, by the bridge alone', () => {
    assert.match(flags(web), /isolated on/)
    check()
  })

  void it('and with br_netfilter, also when that is switched on and off meanwhile', async () => {
    for (const [sysctl, isolated] of [
      ['1', 'isolated off'],
      ['0', 'isolated on'],
    ] as const) {
      brNetfilter(sysctl)
      await until('the driver sees it', 5000, () => [web, other].every((info) => flags(info).includes(isolated)))
      check()
    }
  })

  void it('and after a restart of the service', async () => {
    brNetfilter('1')
    await net.stop()
    net = await startNetworkService(dir, engine)
    assert.match(flags(web), /isolated off/)
    check()
  })
})
