import { isIPv6 } from 'node:net'
import { addressBytes, addressText } from '../../shared/kernel/inet.ts'
import { isCode, syscallFn } from '../../shared/kernel/libc.ts'
import { withNetns } from '../../shared/kernel/netns.ts'
import type { Protocol } from '../../services/network/firewall/index.ts'

/**
 * Packets between network namespaces, sent and received by system calls of this process (a socket stays in the namespace in which it was
 * made), so that it is known who saw what, and nothing has to be started. SCTP is spoken on raw sockets, one INIT and its answer:
 * that needs no SCTP in the kernel but what conntrack has of it.
 */

const [AF_INET, AF_INET6] = [2, 10]
const [SOCK_STREAM, SOCK_DGRAM, SOCK_RAW] = [1, 2, 3]
const SOCK_CLOEXEC = 0o2000000
const IPPROTO_SCTP = 132
const SOL_SOCKET = 1
const [SO_REUSEADDR, SO_RCVTIMEO, SO_SNDTIMEO] = [2, 20, 21]
const [SOL_IPV6, IPV6_V6ONLY] = [41, 26]
const [INIT, INIT_ACK] = [1, 2]
/** What a packet that never comes is waited for. */
const PATIENCE_MS = 300

const socket = syscallFn('int socket(int domain, int type, int protocol)')
const setsockopt = syscallFn('int setsockopt(int fd, int level, int name, const void *value, uint32_t length)')
const bind = syscallFn('int bind(int fd, const void *address, uint32_t length)')
const listen = syscallFn('int listen(int fd, int backlog)')
const accept = syscallFn('int accept4(int fd, void *address, void *length, int flags)')
const connect = syscallFn('int connect(int fd, const void *address, uint32_t length)')
const getsockname = syscallFn('int getsockname(int fd, void *address, void *length)')
const sendto = syscallFn(
  'intptr_t sendto(int fd, const void *data, size_t size, int flags, const void *address, uint32_t length)',
)
const recvfrom = syscallFn('intptr_t recvfrom(int fd, void *data, size_t size, int flags, void *address, void *length)')
const closeFd = syscallFn('int close(int fd)')

interface Name {
  readonly address: string
  readonly port: number
}

function encode({ address, port }: Name): Buffer {
  const v6 = isIPv6(address)
  const out = Buffer.alloc(v6 ? 28 : 16)
  out.writeUInt16LE(v6 ? AF_INET6 : AF_INET, 0)
  out.writeUInt16BE(port, 2)
  out.set(addressBytes(address), v6 ? 8 : 4)
  return out
}

const decode = (name: Buffer): Name => ({
  address: addressText(name.readUInt16LE(0) === AF_INET6 ? name.subarray(8, 24) : name.subarray(4, 8)),
  port: name.readUInt16BE(2),
})

function timeval(ms: number): Buffer {
  const out = Buffer.alloc(16)
  out.writeBigInt64LE(BigInt(Math.floor(ms / 1000)), 0)
  out.writeBigInt64LE(BigInt((ms % 1000) * 1000), 8)
  return out
}

/** A socket in a namespace; undefined: this thread's own. */
function open(netns: string | undefined, v6: boolean, type: number, protocol = 0): number {
  const make = (): number => socket(v6 ? AF_INET6 : AF_INET, type | SOCK_CLOEXEC, protocol)
  const fd = netns === undefined ? make() : withNetns(netns, make)
  for (const option of [SO_RCVTIMEO, SO_SNDTIMEO]) setsockopt(fd, SOL_SOCKET, option, timeval(PATIENCE_MS), 16)
  return fd
}

/** One packet, or some bytes; undefined when none came. */
function receive(fd: number): { data: Buffer; from: Name } | undefined {
  const data = Buffer.alloc(2048)
  const name = Buffer.alloc(28)
  const length = Buffer.alloc(4)
  try {
    const size = uninterrupted(() => {
      length.writeUInt32LE(28)
      return recvfrom(fd, data, data.length, 0, name, length)
    })
    return { data: data.subarray(0, size), from: decode(name) }
  } catch (error) {
    if (isCode(error, 'EAGAIN', 'ECONNREFUSED', 'EHOSTUNREACH')) return undefined
    throw error
  }
}

/** Again when a signal came. */
function uninterrupted(call: () => number): number {
  for (;;) {
    try {
      return call()
    } catch (error) {
      if (!isCode(error, 'EINTR')) throw error
    }
  }
}

const send = (fd: number, data: Buffer, to?: Buffer): void =>
  void sendto(fd, data, data.length, 0, to ?? null, to?.length ?? 0)

/** A server in a namespace that this process serves by hand. */
export class Server {
  readonly #fd: number
  readonly #protocol: Protocol
  readonly #port: number
  readonly #v6: boolean
  readonly #kept: number[] = []
  #peer = ''

  constructor(netns: string | undefined, protocol: Protocol, port: number, family: 4 | 6) {
    this.#protocol = protocol
    this.#port = port
    this.#v6 = family === 6
    if (protocol === 'sctp') {
      this.#fd = open(netns, this.#v6, SOCK_RAW, IPPROTO_SCTP)
      return
    }
    this.#fd = open(netns, this.#v6, protocol === 'tcp' ? SOCK_STREAM : SOCK_DGRAM)
    const on = Buffer.from([1, 0, 0, 0])
    setsockopt(this.#fd, SOL_SOCKET, SO_REUSEADDR, on, 4)
    if (this.#v6) setsockopt(this.#fd, SOL_IPV6, IPV6_V6ONLY, on, 4)
    const name = encode({ address: this.#v6 ? '::' : '0.0.0.0', port })
    bind(this.#fd, name, name.length)
    if (protocol === 'tcp') listen(this.#fd, 16)
  }

  /** Takes one question and answers it; returns who it came from, `''` when none came. A connection may be kept until `close`. */
  answer(text = 'answer', after: 'hang up' | 'keep' = 'hang up'): string {
    if (this.#protocol === 'sctp') return this.#answerInit()
    const connection = this.#protocol === 'tcp' ? this.#accept() : this.#fd
    if (connection === undefined) return ''
    try {
      const question = receive(connection)
      if (!question) return ''
      if (this.#protocol === 'udp') send(connection, Buffer.from(text), encode(question.from))
      else send(connection, Buffer.from(text))
      return this.#protocol === 'udp' ? question.from.address : this.#peer
    } finally {
      if (after === 'keep') this.#kept.push(connection)
      else if (connection !== this.#fd) closeFd(connection)
    }
  }

  /** The next connection; undefined when there is none. It is the caller's to close. */
  #accept(): number | undefined {
    const name = Buffer.alloc(28)
    const length = Buffer.from([28, 0, 0, 0])
    try {
      const fd = uninterrupted(() => accept(this.#fd, name, length, SOCK_CLOEXEC))
      setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, timeval(PATIENCE_MS), 16)
      this.#peer = decode(name).address
      return fd
    } catch (error) {
      if (isCode(error, 'EAGAIN')) return undefined
      throw error
    }
  }

  #answerInit(): string {
    for (;;) {
      const packet = receive(this.#fd)
      if (!packet) return ''
      const sctp = this.#v6 ? packet.data : packet.data.subarray((packet.data.readUInt8(0) & 15) * 4)
      if (sctp.readUInt16BE(2) !== this.#port || sctp[12] !== INIT) continue
      const answer = initChunk(INIT_ACK, this.#port, sctp.readUInt16BE(0), sctp.readUInt32BE(16))
      send(this.#fd, answer, encode({ address: packet.from.address, port: 0 }))
      return packet.from.address
    }
  }

  close(): void {
    for (const fd of [this.#fd, ...this.#kept]) closeFd(fd)
  }
}

/** A client in a namespace with one socket, so with one port. */
export class Client {
  readonly #fd: number
  readonly #protocol: Protocol
  readonly #to: Name
  readonly #port: number
  #connected = false

  constructor(netns: string | undefined, protocol: Protocol, address: string, port: number) {
    this.#protocol = protocol
    this.#to = { address, port }
    const v6 = isIPv6(address)
    const type = { tcp: SOCK_STREAM, udp: SOCK_DGRAM, sctp: SOCK_RAW }[protocol]
    this.#fd = open(netns, v6, type, protocol === 'sctp' ? IPPROTO_SCTP : 0)
    this.#port = protocol === 'sctp' ? nextPort() : 0
  }

  /** Connects and sends one question; false when it is refused or nobody is there. */
  ask(): boolean {
    try {
      if (this.#protocol === 'sctp') {
        const init = initChunk(INIT, this.#port, this.#to.port, 0)
        send(this.#fd, init, encode({ address: this.#to.address, port: 0 }))
      } else {
        const name = encode(this.#to)
        if (!this.#connected) uninterrupted(() => connect(this.#fd, name, name.length))
        this.#connected = true
        send(this.#fd, Buffer.from('question'))
      }
      return true
    } catch (error) {
      if (isCode(error, ...NOT_THERE)) return false
      throw error
    }
  }

  /** The answer: its text, or for SCTP `answer`; `''` when none came. */
  hear(): string {
    if (this.#protocol !== 'sctp') return receive(this.#fd)?.data.toString() ?? ''
    for (;;) {
      const packet = receive(this.#fd)
      if (!packet) return ''
      const sctp = isIPv6(this.#to.address) ? packet.data : packet.data.subarray((packet.data.readUInt8(0) & 15) * 4)
      if (sctp.readUInt16BE(0) === this.#to.port && sctp.readUInt16BE(2) === this.#port && sctp[12] === INIT_ACK)
        return 'answer'
    }
  }

  /** The port that it sends from. */
  get port(): number {
    if (this.#protocol === 'sctp') return this.#port
    const name = Buffer.alloc(28)
    getsockname(this.#fd, name, Buffer.from([28, 0, 0, 0]))
    return decode(name).port
  }

  close(): void {
    closeFd(this.#fd)
  }
}

/** E115 is EINPROGRESS, which Node has no name for: the time to connect is over. */
const NOT_THERE = [
  'E115',
  'EALREADY',
  'EAGAIN',
  'ECONNREFUSED',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EINVAL',
  'EPERM',
  'EACCES',
]

/** Who the server saw when a client asked an address and got the answer; `''` when it got none. */
export function reach(
  server: Server,
  from: string | undefined,
  protocol: Protocol,
  address: string,
  port: number,
): string {
  const client = new Client(from, protocol, address, port)
  try {
    if (!client.ask()) return ''
    const seen = server.answer()
    return seen !== '' && client.hear() === 'answer' ? seen : ''
  } finally {
    client.close()
  }
}

let port = 20_000
const nextPort = (): number => port++

/** A packet with one INIT or INIT ACK chunk: RFC 9260, 3.3.2. */
function initChunk(type: number, from: number, to: number, tag: number): Buffer {
  const out = Buffer.alloc(32)
  out.writeUInt16BE(from, 0)
  out.writeUInt16BE(to, 2)
  out.writeUInt32BE(tag, 4)
  out.writeUInt8(type, 12)
  out.writeUInt16BE(20, 14)
  // Initiate tag, window, streams out and in, first sequence number.
  out.writeUInt32BE(0x1234_5678 + from, 16)
  out.writeUInt32BE(65536, 20)
  out.writeUInt16BE(1, 24)
  out.writeUInt16BE(1, 26)
  out.writeUInt32BE(1, 28)
  out.writeUInt32LE(crc32c(out), 8)
  return out
}

/** Castagnoli's CRC, bit by bit. */
function crc32c(data: Buffer): number {
  let crc = 0xffff_ffff
  for (const byte of data) {
    crc ^= byte
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f6_3b78 : crc >>> 1
  }
  return (crc ^ 0xffff_ffff) >>> 0
}
