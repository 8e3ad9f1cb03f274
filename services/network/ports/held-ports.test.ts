import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { isCode } from '../../../shared/kernel/libc.ts'
import { bindSocket, boundPort, closeSocket, holdSocket } from '../../../shared/kernel/sockets.ts'
import { createLogger } from '../../../shared/log/index.ts'
import { HeldPorts } from './held-ports.ts'
import type { HostPort } from './host-ports.ts'

const log = createLogger('test', 'silent')
const listening = async (server: Server, port = 0, host = '127.0.0.1'): Promise<number> => {
  server.listen(port, host)
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}
/** A port that nobody has. */
const freePort = (): number => {
  const fd = bindSocket('tcp', '127.0.0.1', 0)
  try {
    return boundPort(fd)
  } finally {
    closeSocket(fd)
  }
}

const supported = (protocol: HostPort['protocol']): boolean => {
  try {
    closeSocket(bindSocket(protocol, '127.0.0.1', 0))
    return true
  } catch {
    return false
  }
}

let ports: HeldPorts
beforeEach(() => (ports = new HeldPorts(log)))
afterEach(() => ports.close())

void describe('held ports', () => {
  for (const protocol of ['tcp', 'udp', 'sctp'] as const) {
    const skip = supported(protocol) ? false : `this kernel has no ${protocol}`
    void it(`${protocol}: nobody else gets one, before it is dropped`, { skip }, () => {
      const port: HostPort = { protocol, hostIp: '127.0.0.1', hostPort: freePort() }
      const other = new HeldPorts(log)
      try {
        assert.equal(ports.hold(port), 'free')
        assert.equal(ports.hold(port), 'free', 'it is ours')
        assert.equal(other.hold(port), 'taken')
        assert.equal(other.hold({ ...port, hostIp: '0.0.0.0' }), 'taken')
        assert.equal(other.hold({ ...port, hostIp: '127.0.0.2' }), 'free')
        ports.drop(port)
        assert.equal(other.hold(port), 'free')
      } finally {
        other.close()
      }
    })
  }

  void it('a process cannot listen there', async () => {
    const port: HostPort = { protocol: 'tcp', hostIp: '0.0.0.0', hostPort: freePort() }
    assert.equal(ports.hold(port), 'free')
    await assert.rejects(listening(createServer(), port.hostPort), (e) => isCode(e, 'EADDRINUSE'))
    assert.equal(ports.hold({ ...port, hostIp: '203.0.113.9', hostPort: 1 }), 'foreign')
  })

  void it('connections of the past are no hindrance, and no loophole', async () => {
    const server = createServer((socket) => socket.end('bye'))
    const hostPort = await listening(server)
    const client = connect(hostPort, '127.0.0.1').resume()
    await once(client, 'close')
    server.close()
    await once(server, 'close')
    assert.throws(() => closeSocket(bindSocket('tcp', '127.0.0.1', hostPort, false)), /EADDRINUSE/, 'it waits')
    const fd = holdSocket('tcp', '127.0.0.1', hostPort)
    try {
      assert.throws(() => closeSocket(holdSocket('tcp', '127.0.0.1', hostPort)), /EADDRINUSE/)
      await assert.rejects(listening(createServer(), hostPort), (e) => isCode(e, 'EADDRINUSE'))
      const refused = connect(hostPort, '127.0.0.1')
      await assert.rejects(once(refused, 'connect'), /ECONNREFUSED/, 'it does not listen')
    } finally {
      closeSocket(fd)
    }
  })

  void it('more than files allow are looked at, not held', () => {
    const few = new HeldPorts(log, 1)
    try {
      const [a, b] = [1, 2].map((n): HostPort => ({ protocol: 'tcp', hostIp: `127.0.0.${n}`, hostPort: freePort() }))
      assert.ok(a && b)
      assert.deepEqual([few.hold(a), few.hold(b)], ['free', 'free'])
      assert.deepEqual([ports.hold(a), ports.hold(b)], ['taken', 'free'])
      assert.equal(few.hold(b), 'taken')
    } finally {
      few.close()
    }
  })
})

void describe('a relay', () => {
  let container: Server
  let port: HostPort
  /** What the container does with a connection. */
  let serve: (socket: Socket) => void
  beforeEach(async () => {
    container = createServer({ allowHalfOpen: true }, (socket) => serve(socket.on('error', () => undefined)))
    port = { protocol: 'tcp', hostIp: '::1', hostPort: freePort() }
    assert.equal(ports.hold(port), 'free')
    ports.relay(port, { address: '127.0.0.1', port: await listening(container) })
  })
  afterEach(() => void container.close())
  const dial = (): Socket => connect({ host: '::1', port: port.hostPort, allowHalfOpen: true })

  void it('passes everything on, and the end of one direction', async () => {
    const size = 8 << 20
    serve = (socket) => {
      let got = 0
      socket.on('data', (data: Buffer) => (got += data.length))
      socket.on('end', () => socket.end(`got ${got}`.padEnd(size, '.')))
    }
    const client = dial()
    client.end(Buffer.alloc(size, 'x'))
    let answer = ''
    for await (const part of client) answer += String(part)
    assert.equal(answer.length, size)
    assert.match(answer, new RegExp(`^got ${size}\\.`))
  })

  void it('reads no faster than the other side', async () => {
    serve = (socket) => socket.pause()
    const client = dial()
    let written = 0
    const more = (): void => {
      while (client.write(Buffer.alloc(1 << 16))) written++
    }
    client.on('drain', more)
    more()
    await new Promise((resolve) => setTimeout(resolve, 300))
    const before = written
    await new Promise((resolve) => setTimeout(resolve, 200))
    assert.equal(written, before, 'it stands still')
    assert.ok(written < 1024, 'kernel buffers alone took it')
    client.destroy()
  })

  void it('breaks one side when the other breaks, or is not there', async () => {
    serve = (socket) => socket.resetAndDestroy()
    await assert.rejects(once(dial().resume(), 'end'), /ECONNRESET/)
    let closed: Promise<unknown> = Promise.resolve()
    serve = (socket) => {
      closed = once(socket.resume(), 'close').catch((error: unknown) => error)
      socket.write('hello')
    }
    const client = dial()
    await once(client, 'data')
    client.resetAndDestroy()
    assert.match(String(await closed), /ECONNRESET/)
    container.close()
    await assert.rejects(once(dial().resume(), 'end'), /ECONNRESET/)
  })

  void it('ends with the publishing, and can come again at once', async () => {
    serve = (socket) => socket.write('hello')
    const client = dial()
    await once(client, 'data')
    ports.relay(port, undefined)
    await assert.rejects(once(client.resume(), 'end'), /ECONNRESET/)
    await assert.rejects(once(dial(), 'connect'), /ECONNREFUSED/)
    const other = new HeldPorts(log)
    assert.equal(other.hold(port), 'taken', 'the port is kept')
    ports.relay(port, { address: '127.0.0.1', port: (container.address() as AddressInfo).port })
    await once(dial(), 'data')
    ports.drop(port)
    assert.equal(other.hold(port), 'free')
    other.close()
  })
})
