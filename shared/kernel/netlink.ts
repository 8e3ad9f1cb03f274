import { isCode, libc, SystemError, syscallFn } from './libc.ts'

/**
 * Netlink without an event loop: the kernel handles an rtnetlink request inside `send`, so the answer can be read at once.
 * That makes a request a plain function call of some microseconds, usable between two `setns` calls, where nothing may be
 * awaited. Attribute layout: netlink(7), include/uapi/linux/netlink.h; integers are in host order (little-endian on all
 * machines this runs on).
 */

const socket = syscallFn('int socket(int domain, int type, int protocol)')
const close = syscallFn('int close(int fd)')
const setsockopt = syscallFn('int setsockopt(int fd, int level, int name, const void *value, uint32_t length)')
const send = syscallFn('intptr_t send(int fd, const void *data, size_t length, int flags)')
const sendAsync = libc.func('intptr_t send(int fd, const void *data, size_t length, int flags)')
const recv = syscallFn('intptr_t recv(int fd, void *data, size_t length, int flags)')

const AF_NETLINK = 16
const SOCK_RAW_CLOEXEC = 3 | 0o2000000
const SOL_SOCKET = 1
const SO_RCVTIMEO = 20
const SOL_NETLINK = 270
const NETLINK_CAP_ACK = 10
const NETLINK_EXT_ACK = 11

export const NLM_F = {
  REQUEST: 0x1,
  ACK: 0x4,
  DUMP: 0x300,
  DUMP_INTR: 0x10,
  CAPPED: 0x100,
  REPLACE: 0x100,
  EXCL: 0x200,
  CREATE: 0x400,
} as const
const NLMSG_ERROR = 2
const NLMSG_DONE = 3
const NLMSGERR_ATTR_MSG = 1
const HEADER = 16

/** One attribute: length, type, payload, padding to four bytes. */
export function attribute(type: number, payload: Uint8Array): Buffer {
  const out = Buffer.alloc((4 + payload.length + 3) & ~3)
  out.writeUInt16LE(4 + payload.length, 0)
  out.writeUInt16LE(type, 2)
  out.set(payload, 4)
  return out
}

export const nest = (type: number, attributes: readonly Buffer[]): Buffer => attribute(type, Buffer.concat(attributes))
export const text = (type: number, value: string): Buffer => attribute(type, Buffer.from(`${value}\0`))
export const u8 = (type: number, value: number): Buffer => attribute(type, Buffer.of(value))

export function u16(type: number, value: number): Buffer {
  const b = Buffer.alloc(2)
  b.writeUInt16LE(value)
  return attribute(type, b)
}

export function u32(type: number, value: number): Buffer {
  const b = Buffer.alloc(4)
  b.writeUInt32LE(value)
  return attribute(type, b)
}

/** Attributes by type (without the nesting and byte-order flags); of equal ones the last. */
export function parseAttributes(data: Buffer): Map<number, Buffer> {
  const found = new Map<number, Buffer>()
  for (let at = 0; at + 4 <= data.length;) {
    const length = data.readUInt16LE(at)
    if (length < 4) break
    found.set(data.readUInt16LE(at + 2) & 0x3fff, data.subarray(at + 4, at + length))
    at += (length + 3) & ~3
  }
  return found
}

/** A C string in an attribute. */
export function textOf(payload: Buffer | undefined): string {
  if (!payload) return ''
  const end = payload.indexOf(0)
  return payload.toString('utf8', 0, end === -1 ? payload.length : end)
}

export interface NetlinkRequest {
  readonly type: number
  readonly flags: number
  readonly body: Buffer
  /** For the error message: `newlink br0`. */
  readonly about: string
}

// One for all sockets: requests run to their end without anything in between.
const receiveBuffer = Buffer.alloc(65536)

/** A netlink socket of the network namespace in which it was opened; it stays there. */
export class NetlinkSocket {
  readonly #fd: number
  #sequence = 1
  #closed = false

  /** `protocol`: NETLINK_ROUTE is 0. */
  constructor(protocol: number) {
    this.#fd = socket(AF_NETLINK, SOCK_RAW_CLOEXEC, protocol)
    const on = Buffer.from([1, 0, 0, 0])
    setsockopt(this.#fd, SOL_NETLINK, NETLINK_CAP_ACK, on, 4)
    setsockopt(this.#fd, SOL_NETLINK, NETLINK_EXT_ACK, on, 4)
    // A guard only: replies are there when `send` returns.
    const timeout = Buffer.alloc(16)
    timeout.writeBigInt64LE(5n)
    setsockopt(this.#fd, SOL_SOCKET, SO_RCVTIMEO, timeout, 16)
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    close(this.#fd)
  }

  /**
   * Sends requests together and reads their answers; the kernel does all, in order, even after one failed. Returns each
   * one's outcome: payloads of its replies, or the error.
   */
  exchange(requests: readonly NetlinkRequest[]): (Buffer[] | SystemError)[] {
    const { data, first } = this.#encode(requests)
    uninterrupted(() => send(this.#fd, data, data.length, 0))
    return this.#answers(requests, first)
  }

  /** The same, but the kernel works on a thread of the pool. Not to be mixed with other calls on this socket meanwhile. */
  async exchangeOnWorker(requests: readonly NetlinkRequest[]): Promise<(Buffer[] | SystemError)[]> {
    const { data, first } = this.#encode(requests)
    await sendOnWorker(this.#fd, data)
    return this.#answers(requests, first)
  }

  #encode(requests: readonly NetlinkRequest[]): { data: Buffer; first: number } {
    const first = this.#sequence
    this.#sequence = (first + requests.length) % 0x7fff0000
    return { data: Buffer.concat(requests.map((request, i) => encode(request, first + i))), first }
  }

  #answers(requests: readonly NetlinkRequest[], first: number): (Buffer[] | SystemError)[] {
    const replies: Buffer[][] = requests.map(() => [])
    const outcome = new Array<Buffer[] | SystemError | undefined>(requests.length)
    const interrupted = new Set<number>()
    let waiting = requests.length
    while (waiting > 0) {
      const size = uninterrupted(() => recv(this.#fd, receiveBuffer, receiveBuffer.length, 0))
      for (let at = 0; at + HEADER <= size;) {
        const length = receiveBuffer.readUInt32LE(at)
        const type = receiveBuffer.readUInt16LE(at + 4)
        const flags = receiveBuffer.readUInt16LE(at + 6)
        const index = receiveBuffer.readUInt32LE(at + 8) - first
        const message = receiveBuffer.subarray(at + HEADER, at + length)
        at += (length + 3) & ~3
        const request = requests[index]
        const got = replies[index]
        // An answer to an earlier exchange that was given up.
        if (!request || !got || outcome[index] !== undefined) continue
        if (flags & NLM_F.DUMP_INTR && type !== NLMSG_ERROR) interrupted.add(index)
        if (type === NLMSG_ERROR || type === NLMSG_DONE) {
          const failure = failureOf(request, message, flags)
          outcome[index] = failure ?? (interrupted.has(index) ? new SystemError('netlink', 4, request.about) : got)
          waiting--
        } else got.push(Buffer.from(message))
      }
    }
    return outcome as (Buffer[] | SystemError)[]
  }

  /** Like `exchange`, but the first failure is thrown. */
  request(requests: readonly NetlinkRequest[]): Buffer[][] {
    return this.exchange(requests).map((outcome) => {
      if (outcome instanceof SystemError) throw outcome
      return outcome
    })
  }

  /** All objects of a kind; asked again when they changed while they were told. */
  dump(request: NetlinkRequest): Buffer[] {
    for (let attempt = 0; ; attempt++) {
      const told = dumped(this.exchange([asDump(request)]), attempt)
      if (told) return told
    }
  }

  /** The same, but the kernel searches on a thread of the pool, until it has found some pages of them. */
  async dumpOnWorker(request: NetlinkRequest): Promise<Buffer[]> {
    for (let attempt = 0; ; attempt++) {
      const told = dumped(await this.exchangeOnWorker([asDump(request)]), attempt)
      if (told) return told
    }
  }
}

const asDump = (request: NetlinkRequest): NetlinkRequest => ({ ...request, flags: request.flags | NLM_F.DUMP })

/** What a dump told; undefined when it is to be asked again. */
function dumped([outcome]: (Buffer[] | SystemError)[], attempt: number): Buffer[] | undefined {
  if (Array.isArray(outcome)) return outcome
  if (outcome && (outcome.code !== 'EINTR' || attempt >= 20)) throw outcome
  return undefined
}

/** Again when a signal came before anything was done. */
function uninterrupted(call: () => number): number {
  for (;;) {
    try {
      return call()
    } catch (error) {
      if (!isCode(error, 'EINTR')) throw error
    }
  }
}

const sendOnWorker = (fd: number, data: Buffer): Promise<void> =>
  new Promise((resolve, reject) => {
    sendAsync.async(fd, data, data.length, 0, (failure: unknown, sent: number) => {
      // errno is the worker's own; a netlink socket that takes nothing is out of memory.
      if (failure !== null || Number(sent) !== data.length) reject(new SystemError('send', 12, 'netlink'))
      else resolve()
    })
  })

function encode(request: NetlinkRequest, sequence: number): Buffer {
  const length = HEADER + request.body.length
  const message = Buffer.alloc((length + 3) & ~3)
  message.writeUInt32LE(length, 0)
  message.writeUInt16LE(request.type, 4)
  message.writeUInt16LE(request.flags | NLM_F.REQUEST | NLM_F.ACK, 6)
  message.writeUInt32LE(sequence, 8)
  message.set(request.body, HEADER)
  return message
}

function failureOf(request: NetlinkRequest, message: Buffer, flags: number): SystemError | undefined {
  const code = message.length >= 4 ? -message.readInt32LE(0) : 0
  if (code === 0) return undefined
  // After the error number comes the request's header (its body too, unless capped), then the extended acknowledgement.
  const original = message.length >= 20 && !(flags & NLM_F.CAPPED) ? message.readUInt32LE(4) : HEADER
  const reason = textOf(parseAttributes(message.subarray(4 + original)).get(NLMSGERR_ATTR_MSG))
  return new SystemError('netlink', code, reason === '' ? request.about : `${request.about}: ${reason}`)
}
