import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { connect } from 'node:net'
import { after, before, test } from 'node:test'
import { withNetns } from '../../../shared/kernel/netns.ts'
import { bindSocket, closeSocket } from '../../../shared/kernel/sockets.ts'
import { createLogger } from '../../../shared/log/index.ts'
import { Testbed } from '../../../test/support/network-testbed.ts'
import { DNS_ADDRESS, DnsServer, type NameSource } from './index.ts'

const bed = new Testbed()
const many = Array.from({ length: 80 }, (_, i) => `10.0.0.${i + 1}`)
const names: NameSource = {
  lookup: (sandbox, name) =>
    name === 'me'
      ? { v4: [sandbox === 'one' ? '10.0.0.1' : '10.0.0.2'], v6: [] }
      : name === 'many'
        ? { v4: many, v6: [] }
        : undefined,
  reverse: (_sandbox, address) => (address === '10.0.0.1' ? 'one.net' : undefined),
  forwarders: () => undefined,
}
const newServer = (): DnsServer => new DnsServer({ log: createLogger('test', 'silent'), names, servers: () => [] })
let server = newServer()

before(async () => {
  bed.bridge('br-a', '10.0.0.254/24')
  for (const [name, address] of [
    ['one', '10.0.0.1/24'],
    ['two', '10.0.0.2/24'],
  ] as const) {
    bed.machine(name, { bridge: 'br-a' }, [address])
    await server.attach(name, bed.path(name))
  }
})
after(() => {
  server.close()
  bed.close()
})

/** What busybox's nslookup prints in a sandbox. Asynchronous: the server runs in this very process. */
function inside(sandbox: string, ...command: string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn('nsenter', [`--net=${bed.path(sandbox)}`, ...command])
    let output = ''
    child.stdout.on('data', (text: Buffer) => (output += text.toString()))
    child.stderr.on('data', (text: Buffer) => (output += text.toString()))
    child.on('error', reject)
    child.on('close', () => resolve(output))
  })
}
const lookup = (sandbox: string, name: string): Promise<string> =>
  inside(sandbox, 'busybox', 'nslookup', name, DNS_ADDRESS)

test('each sandbox gets its own names', async () => {
  assert.match(await lookup('one', 'me'), /Name:\s+me\nAddress: 10\.0\.0\.1\n/)
  assert.match(await lookup('two', 'ME'), /Address: 10\.0\.0\.2\n/)
  assert.match(await lookup('two', '10.0.0.1'), /name = one\.net/)
  assert.match(await lookup('one', 'nobody'), /NXDOMAIN/)
})

test("the C library's resolver is content", async () => {
  // Debian's getent, with a resolv.conf of its own in a mount namespace.
  const script = `echo nameserver ${DNS_ADDRESS} > ${bed.dir}/resolv.conf
    mount --bind ${bed.dir}/resolv.conf /etc/resolv.conf && getent ahostsv4 me`
  assert.match(await inside('one', 'unshare', '-m', 'sh', '-c', script), /^10\.0\.0\.1 +STREAM me/)
})

test('a long answer is cut over UDP and whole over TCP', async () => {
  const ask = Buffer.from('00010100000100000000000004' + Buffer.from('many').toString('hex') + '0000010001', 'hex')
  const udp = withNetns(bed.path('one'), () => bindSocket('udp', '0.0.0.0', 0))
  const client = createSocket('udp4')
  await new Promise<void>((resolve) => client.bind({ fd: udp }, resolve))
  const reply = await new Promise<Buffer>((resolve) => {
    client.on('message', (message, from) => {
      assert.deepEqual([from.address, from.port], [DNS_ADDRESS, 53], 'the reply comes from where the question went')
      resolve(message)
    })
    client.send(ask, 53, DNS_ADDRESS)
  })
  client.close()
  assert.ok(reply.length <= 512 && ((reply[2] ?? 0) & 2) === 2)

  // A TCP client of node's own, in the namespace.
  const script = `
    const s = require('net').connect(53, '${DNS_ADDRESS}', () => s.write(Buffer.from('${ask.length.toString(16).padStart(4, '0')}${ask.toString('hex')}', 'hex')))
    let got = Buffer.alloc(0)
    s.on('data', (d) => { got = Buffer.concat([got, d]); if (got.length - 2 >= got.readUInt16BE(0)) { console.log(got.readUInt16BE(8)); s.destroy() } })`
  assert.equal((await inside('one', process.execPath, '-e', script)).trim(), '80')
})

test('garbage is survived', async () => {
  const udp = withNetns(bed.path('one'), () => bindSocket('udp', '0.0.0.0', 0))
  const client = createSocket('udp4')
  await new Promise<void>((resolve) => client.bind({ fd: udp }, resolve))
  for (let i = 0; i < 500; i++)
    client.send(Buffer.from(Array.from({ length: i % 70 }, (_, n) => (n * i * 31) & 255)), 53, DNS_ADDRESS)
  assert.match(await lookup('one', 'me'), /10\.0\.0\.1/)
  client.close()
})

test('a container may have a DNS server of its own', () => {
  for (const protocol of ['udp', 'tcp'] as const) {
    closeSocket(withNetns(bed.path('one'), () => bindSocket(protocol, '0.0.0.0', 53)))
  }
})

test('while the service is away a question stays without an answer; when it is back it is answered', async () => {
  const rules = (): string => bed.runIn('one', 'nft list table ip gantry-dns')
  const before = rules()
  server.close()
  const udp = withNetns(bed.path('one'), () => bindSocket('udp', '0.0.0.0', 0))
  const client = createSocket('udp4')
  await new Promise<void>((resolve) => client.bind({ fd: udp }, resolve))
  const question = Buffer.from('0001010000010000000000000' + '26d650000010001', 'hex')
  // Connected: a refusal would come as an error.
  await new Promise<void>((resolve) => client.connect(53, DNS_ADDRESS, resolve))
  const outcome = new Promise<Buffer>((resolve, reject) => {
    client.on('error', reject)
    client.on('message', resolve)
  })
  client.send(question)
  await new Promise((resolve) => setTimeout(resolve, 50))
  server = newServer()
  await server.attach('one', bed.path('one'))
  await server.attach('one', bed.path('one'))
  client.send(question)
  assert.deepEqual([...(await outcome).subarray(-4)], [10, 0, 0, 1])
  assert.equal(rules(), before)
  client.close()
})

test('after detach nobody answers, and the namespace is free', async () => {
  await server.attach('two', bed.path('two'))
  server.detach('two')
  server.detach('two')
  assert.equal(bed.runIn('two', 'ss -Hlnut').trim(), '')
})

test('the host itself has nothing at that address', async () => {
  const failure = await new Promise<Error>((resolve) => connect(53, DNS_ADDRESS).on('error', resolve))
  assert.match(failure.message, /ECONNREFUSED/)
})
