import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { syscallFn } from '../../shared/kernel/libc.ts'
import { createNetns, deleteNetns } from '../../shared/kernel/netns.ts'

export const SENDER = Symbol('the address of who asks')

/** The answer to a datagram, or `''`. */
export interface DatagramClient {
  (patienceMs?: number): Promise<string>
  close(): void
}

/**
 * For root tests: this thread moves into a network namespace of its own, which plays the host; containers and other machines are
 * further namespaces. Nothing of it touches the real host's network, and all of it ends with the process.
 */
export class Testbed {
  readonly dir = mkdtempSync(join(tmpdir(), 'gantry-net-'))
  readonly #namespaces: string[] = []
  readonly #processes: ChildProcess[] = []

  constructor() {
    if (process.getuid?.() !== 0) throw new Error('this test makes network namespaces: run it as root')
    syscallFn('int unshare(int flags)')(0x40000000)
    this.run('ip link set lo up')
  }

  /** Runs a command on the host, words parted by spaces; returns its output. */
  run(command: string): string {
    const [file = '', ...args] = command.split(' ')
    return execFileSync(file, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], timeout: 20_000 })
  }

  path = (name: string): string => join(this.dir, name)

  runIn(namespace: string, command: string): string {
    return this.run(`nsenter --net=${this.path(namespace)} ${command}`)
  }

  bridge(name: string, ...addresses: string[]): void {
    this.run(`ip link add ${name} type bridge`)
    for (const address of addresses)
      this.run(`ip addr add ${address} dev ${name}${address.includes(':') ? ' nodad' : ''}`)
    this.run(`ip link set ${name} up`)
  }

  /** A namespace with `eth0`, whose other end is on the host: on a bridge, or with an address of its own. */
  machine(
    name: string,
    host: { bridge: string } | { addresses: readonly string[] },
    addresses: readonly string[],
  ): void {
    createNetns(this.path(name), () => undefined)
    this.#namespaces.push(name)
    const outer = `v-${name}`
    this.run(`ip link add ${outer} type veth peer name eth0 netns ${this.path(name)}`)
    if ('bridge' in host) {
      this.run(`ip link set ${outer} master ${host.bridge}`)
      this.run(`bridge link set dev ${outer} hairpin on`)
    } else for (const a of host.addresses) this.run(`ip addr add ${a} dev ${outer}${a.includes(':') ? ' nodad' : ''}`)
    this.run(`ip link set ${outer} up`)
    for (const a of addresses) this.runIn(name, `ip addr add ${a} dev eth0${a.includes(':') ? ' nodad' : ''}`)
    this.runIn(name, 'ip link set eth0 up')
  }

  /** An HTTP server on [::]:port (IPv4 too) whose page is `text`, or the address of who asks. Resolves when it listens. */
  serve(namespace: string, port: number, text: string | typeof SENDER): Promise<void> {
    const page = text === SENDER ? "q.socket.remoteAddress.replace('::ffff:', '')" : JSON.stringify(text)
    const server = `require('http').createServer((q, r) => r.end(${page}))`
    return this.#start(namespace, `${server}.listen(${port}, () => console.log('ready'))`)
  }

  /** A UDP server that answers everything with `text`. */
  serveDatagrams(namespace: string, port: number, text: string): Promise<void> {
    const answer = `s.on('message', (m, { address, port }) => s.send(${JSON.stringify(text)}, port, address))`
    const server = `const s = require('dgram').createSocket('udp4'); ${answer}`
    return this.#start(namespace, `${server}; s.bind(${port}, () => console.log('ready'))`)
  }

  #start(namespace: string, script: string): Promise<void> {
    const child = spawn('nsenter', [`--net=${this.path(namespace)}`, process.execPath, '-e', script])
    this.#processes.push(child)
    return new Promise((resolve, reject) => {
      child.stdout.once('data', () => resolve())
      child.stderr.on('data', (text: Buffer) => reject(new Error(text.toString())))
      child.on('error', reject)
    })
  }

  /** One UDP socket on the host, asking a port of its own loopback again and again until it gets an answer, or time is over. */
  datagramClient(port: number): DatagramClient {
    const socket = createSocket('udp4')
    const ask = (patience = 2000): Promise<string> =>
      new Promise((resolve) => {
        const send = (): void => socket.send('?', port, '127.0.0.1')
        const finish = (text: string): void => {
          clearInterval(again)
          clearTimeout(end)
          socket.removeAllListeners('message')
          resolve(text)
        }
        const again = setInterval(send, 20)
        const end = setTimeout(() => finish(''), patience)
        socket.on('message', (text) => finish(text.toString()))
        send()
      })
    return Object.assign(ask, { close: () => void socket.close() })
  }

  /** The page at a URL as a machine (or the host, when undefined) gets it; `''` when it gets none within 0.4 s. */
  get(from: string | undefined, url: string): string {
    const curl = `curl -s --noproxy * --max-time 0.4 ${url}`
    try {
      return from === undefined ? this.run(curl) : this.runIn(from, curl)
    } catch {
      return ''
    }
  }

  close(): void {
    for (const child of this.#processes) child.kill('SIGKILL')
    for (const name of this.#namespaces) deleteNetns(this.path(name))
    rmSync(this.dir, { recursive: true, force: true })
  }
}
