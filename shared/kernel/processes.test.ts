import assert from 'node:assert/strict'
import { closeSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { isCode, syscallFn } from './libc.ts'
import { identify, isAlive, parentOf, signalProcess } from './pidfd.ts'
import { connectSeqpacket } from './seqpacket.ts'
import { makePipe, reap, spawnDetached } from './spawn.ts'

describe('spawnDetached', () => {
  it('starts a program in its own session with just the descriptors and the environment it is given', async () => {
    const [read, write] = makePipe()
    const script =
      'pwd >&3; env >&3; ls /proc/self/fd | tr "\\n" " " >&3; cut -d" " -f1,6 /proc/$$/stat >&3; grep SigIgn /proc/self/status >&3'
    const pid = spawnDetached({
      path: '/bin/sh',
      args: ['-c', script],
      env: ['PATH=/usr/bin:/bin', 'A=b'],
      cwd: '/usr',
      fds: [write],
    })
    closeSync(write)
    const socket = new Socket({ fd: read, readable: true, writable: false })
    let text = ''
    socket.on('data', (data) => (text += data.toString()))
    await once(socket, 'end')
    while (!reap(pid)) await new Promise((resolve) => setTimeout(resolve, 1))
    assert.match(text, /^\/usr\n/)
    assert.match(text, /A=b\n/)
    assert.doesNotMatch(text, /HOME=/)
    assert.match(text, new RegExp(`${pid} ${pid}\n`))
    assert.match(text, /SigIgn:\t0000000000000000/)
    // 4 is the directory that ls reads.
    assert.match(text, /^0 1 2 3 4 /m)
  })
  it('says what is missing', () => {
    assert.throws(() => spawnDetached({ path: '/nope', args: [], env: [], cwd: '/', fds: [] }), { code: 'ENOENT' })
  })
})

describe('process identity', () => {
  it('tells a process from a later one', async () => {
    const child = spawn('sleep', ['100'])
    const identity = identify(child.pid ?? 0)
    assert.ok(identity)
    assert.equal(parentOf(identity.pid), process.pid)
    assert.equal(isAlive(identity), true)
    assert.equal(signalProcess({ ...identity, started: identity.started - 1 }, 9), false)
    assert.equal(isAlive(identity), true)
    assert.equal(signalProcess(identity, 15), true)
    await once(child, 'exit')
    assert.equal(signalProcess(identity, 15), false)
    assert.equal(signalProcess({ pid: 0, started: 0 }, 9), false)
  })
})

describe('connectSeqpacket', () => {
  const socket = syscallFn('int socket(int domain, int type, int protocol)')
  const bind = syscallFn('int bind(int fd, const void *address, uint32_t length)')
  const listen = syscallFn('int listen(int fd, int backlog)')
  const accept = syscallFn('int accept(int fd, void *address, void *length)')
  const send = syscallFn('intptr_t send(int fd, const void *data, size_t length, int flags)')
  const recv = syscallFn('intptr_t recv(int fd, void *data, size_t length, int flags)')

  const addressOf = (path: string): Buffer => {
    const address = Buffer.from(`\0\0${path}\0`)
    address.writeUInt16LE(1, 0)
    return address
  }

  it('keeps packets apart, stops reading while paused, ends', async () => {
    const top = mkdtempSync(join(tmpdir(), 'gantry-seq-'))
    // Longer than an address may be; the listener gets at it by a shorter way.
    const dir = join(top, 'a'.repeat(100))
    mkdirSync(dir)
    symlinkSync(dir, join(top, 'l'))
    const listener = socket(1, 5, 0)
    const ignore = (): void => undefined
    const address = addressOf(join(top, 'l', 's'))
    try {
      assert.throws(() => connectSeqpacket(join(dir, 's'), ignore), { code: 'ENOENT' })
      bind(listener, address, address.length)
      assert.throws(() => connectSeqpacket(join(dir, 's'), ignore), { code: 'ECONNREFUSED' })
      listen(listener, 5)
      const packets: string[] = []
      const { reader, writer } = connectSeqpacket(join(dir, 's'), (packet) =>
        packets.push(Buffer.from(packet).toString()),
      )
      const server = accept(listener, null, null)
      for (const text of ['one', 'two', 'three']) send(server, Buffer.from(text), text.length, 0)
      while (packets.length < 3) await new Promise((resolve) => setImmediate(resolve))
      assert.deepEqual(packets, ['one', 'two', 'three'])
      for (const text of ['four', 'five']) await new Promise((resolve) => writer.write(text, resolve))
      const buffer = Buffer.alloc(100)
      assert.equal(buffer.toString('utf8', 0, recv(server, buffer, 100, 0)), 'four')
      assert.equal(buffer.toString('utf8', 0, recv(server, buffer, 100, 0)), 'five')
      reader.pause()
      const MSG_DONTWAIT = 0x40
      assert.throws(
        () => {
          for (;;) send(server, Buffer.alloc(8192), 8192, MSG_DONTWAIT)
        },
        { code: 'EAGAIN' },
      )
      const before = packets.length
      await new Promise((resolve) => setTimeout(resolve, 50))
      assert.equal(packets.length, before)
      await new Promise<void>((resolve) => writer.end(resolve))
      assert.equal(recv(server, buffer, 100, 0), 0)
      closeSync(server)
      reader.resume()
      await once(reader, 'close')
      assert.ok(packets.length > before)
    } finally {
      closeSync(listener)
      rmSync(top, { recursive: true, force: true })
    }
  })

  for (const [what, unread] of [
    ['a write has failed', false],
    ['it left input unread', true],
  ] as const) {
    it(`what the other side sent before it closed is read, also when ${what}`, async () => {
      const dir = mkdtempSync(join(tmpdir(), 'gantry-seq-'))
      const listener = socket(1, 5, 0)
      const address = addressOf(join(dir, 's'))
      try {
        bind(listener, address, address.length)
        listen(listener, 1)
        const packets: string[] = []
        const { reader, writer } = connectSeqpacket(join(dir, 's'), (p) => packets.push(Buffer.from(p).toString()))
        const server = accept(listener, null, null)
        reader.on('error', () => undefined)
        writer.on('error', () => undefined)
        const write = (): Promise<unknown> => new Promise((resolve) => writer.write('input', resolve))
        if (unread) await write()
        for (const text of ['one', 'two', 'three']) send(server, Buffer.from(text), text.length, 0)
        closeSync(server)
        if (!unread) assert.ok(isCode(await write(), 'EPIPE'))
        reader.resume()
        await new Promise((resolve) => reader.once('close', resolve))
        assert.deepEqual(packets, ['one', 'two', 'three'])
        assert.ok(writer.destroyed)
      } finally {
        closeSync(listener)
        rmSync(dir, { recursive: true })
      }
    })
  }
})
