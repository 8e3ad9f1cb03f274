import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { request, type RequestOptions } from 'node:http'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { spawn } from 'node:child_process'
import { after, before, test } from 'node:test'
import { pino } from 'pino'
import type { Backend } from '../backend.ts'
import { startGateway, type Gateway } from '../gateway.ts'
import { parseHost } from './addresses.ts'

let dir: string
before(() => {
  dir = mkdtempSync(join(tmpdir(), 'gantry-listen-'))
})
after(() => rmSync(dir, { recursive: true, force: true }))

const start = (socket: string, hosts: string[] = [], socketGroup?: string): Promise<Gateway> =>
  startGateway({
    backend: {} as Backend,
    config: { socket, hosts, ...(socketGroup === undefined ? {} : { socketGroup }) },
    log: pino({ level: 'silent' }),
  })

const status = (options: RequestOptions): Promise<number | undefined> =>
  new Promise((resolve, reject) => {
    request({ path: '/_ping', agent: false, ...options }, (reply) => {
      reply.resume()
      resolve(reply.statusCode)
    })
      .on('error', reject)
      .end()
  })

test('the socket is for root and its group; it goes when the gateway stops', async () => {
  const socketPath = join(dir, 'a.sock')
  const gateway = await start(socketPath)
  assert.deepEqual(gateway.addresses, [`unix://${socketPath}`])
  assert.equal(statSync(socketPath).mode & 0o777, 0o660)
  assert.equal(await status({ socketPath }), 200)
  await gateway.stop()
  assert.equal(statSync(socketPath, { throwIfNoEntry: false }), undefined)
})

test('a socket that a killed process left is taken over', async () => {
  const socketPath = join(dir, 'stale.sock')
  const code = `require('net').createServer().listen(${JSON.stringify(socketPath)}, () => process.kill(process.pid, 'SIGKILL'))`
  await once(spawn(process.execPath, ['-e', code]), 'exit')
  assert(statSync(socketPath).isSocket())
  const gateway = await start(socketPath)
  assert.equal(await status({ socketPath }), 200)
  await gateway.stop()
})

test('a live listener and a file are not', async () => {
  const socketPath = join(dir, 'live.sock')
  const other = createServer().listen(socketPath)
  await once(other, 'listening')
  await assert.rejects(start(socketPath), /another engine listens on/)
  other.close()
  const file = join(dir, 'file')
  writeFileSync(file, '')
  await assert.rejects(start(file), /not a socket/)
})

test('a group that is not there is a warning', async () => {
  const gateway = await start(join(dir, 'group.sock'), [], 'no-such-group')
  assert.match(gateway.warnings[0] ?? '', /no group "no-such-group"/)
  await gateway.stop()
})

test('when one address fails none stays open', async () => {
  const taken = createServer().listen(0, '127.0.0.1')
  await once(taken, 'listening')
  const { port } = taken.address() as { port: number }
  const socketPath = join(dir, 'both.sock')
  await assert.rejects(start(socketPath, [`tcp://127.0.0.1:${port}`]), /EADDRINUSE/)
  assert.equal(statSync(socketPath, { throwIfNoEntry: false }), undefined)
  taken.close()
})

test('over TCP, what a web page could send is refused', async () => {
  const gateway = await start(join(dir, 'tcp.sock'), ['tcp://127.0.0.1:0'])
  const port = Number(gateway.addresses[1]?.split(':')[2])
  const ask = (headers: Record<string, string>) => status({ host: '127.0.0.1', port, headers })
  assert.equal(await ask({}), 200)
  assert.equal(await ask({ host: 'localhost:2375' }), 200)
  assert.equal(await ask({ host: 'api.moby.localhost' }), 200)
  assert.equal(await ask({ origin: 'http://localhost:3000' }), 200)
  assert.equal(await ask({ host: 'evil.example:2375' }), 403)
  assert.equal(await ask({ origin: 'https://evil.example' }), 403)
  assert.equal(await ask({ origin: 'null' }), 403)
  await gateway.stop()
})

test('addresses', () => {
  assert.deepEqual(parseHost('tcp://127.0.0.1:2375'), { kind: 'tcp', host: '127.0.0.1', port: 2375 })
  assert.deepEqual(parseHost('tcp://localhost:1'), { kind: 'tcp', host: '127.0.0.1', port: 1 })
  assert.deepEqual(parseHost('tcp://[::1]:2375'), { kind: 'tcp', host: '::1', port: 2375 })
  for (const text of ['tcp://0.0.0.0:2375', 'tcp://10.0.0.1:1', 'tcp://[::]:1', 'tcp://example.com:1']) {
    assert.throws(() => parseHost(text), /not a loopback address/, text)
  }
  for (const text of [
    '127.0.0.1:1',
    'tcp://127.0.0.1',
    'tcp://127.0.0.1:99999',
    'unix:///x',
    'tcp://a:b@127.0.0.1:1',
  ]) {
    assert.throws(() => parseHost(text), /no API address/, text)
  }
})
