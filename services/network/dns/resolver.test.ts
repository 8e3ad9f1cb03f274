import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { createServer } from 'node:net'
import { after, before, describe, test } from 'node:test'
import dnsPacket, { type DecodedPacket, type RecordType } from 'dns-packet'
import { Client, type Upstream } from './client.ts'
import { Forwarder } from './forwarder.ts'
import { Deframer, frame } from './frames.ts'
import { RCODE, rcodeOf } from './messages.ts'
import { Resolver } from './resolver.ts'
import type { NameSource } from './types.ts'

const NAMES: Record<string, { v4: string[]; v6: string[] }> = {
  web: { v4: ['10.0.0.2', '10.0.0.3', '10.0.0.4'], v6: [] },
  twins: { v4: ['10.0.0.6', '10.0.0.7'], v6: ['fd00::6', 'fd00::7'] },
  both: { v4: ['10.0.0.5'], v6: ['fd00::5'] },
}
const client = (sandbox = 's'): Client => new Client(sandbox, '/no/such/namespace')
const names: NameSource = {
  lookup: (sandbox, name) => (sandbox === 's' ? NAMES[name] : undefined),
  reverse: (sandbox, address) => (sandbox === 's' && address === '10.0.0.2' ? 'web.net' : undefined),
  forwarders: (sandbox) => (sandbox === 'internal' ? [] : undefined),
}

const usual = (...servers: string[]): Upstream => ({ servers, inside: false })
const ask = (name: string, type: RecordType = 'A'): Buffer =>
  dnsPacket.encode({ type: 'query', id: 7, flags: dnsPacket.RECURSION_DESIRED, questions: [{ type, name }] })
const data = (packet: DecodedPacket): unknown[] => packet.answers?.map((a) => ('data' in a ? a.data : undefined)) ?? []

/** A resolver whose servers all listen on one port of different loopback addresses. */
function resolver(servers: string[] = [], port = 9) {
  const made = new Resolver({ names, forwarder: new Forwarder({ port, deadlineMs: 600 }), servers: () => servers })
  return async (name: string, type?: RecordType, sandbox = 's', transport: 'udp' | 'tcp' = 'udp') => {
    const reply = await made.resolve(client(sandbox), ask(name, type), transport)
    assert.ok(reply)
    return dnsPacket.decode(reply)
  }
}
const code = (packet: DecodedPacket): number => (packet.flags ?? 0) & 0xf

describe('own names', () => {
  test('A, AAAA, either case', async () => {
    const query = resolver()
    assert.deepEqual(data(await query('Both')), ['10.0.0.5'])
    assert.deepEqual(data(await query('both', 'AAAA')), ['fd00::5'])
  })

  test('a known name without that kind of address is an empty answer, not an error', async () => {
    const query = resolver()
    for (const type of ['AAAA', 'MX', 'TXT', 'SRV'] as const) {
      const reply = await query('web', type)
      assert.deepEqual([code(reply), data(reply)], [RCODE.noError, []], type)
    }
  })

  test('a shared name begins with any of its addresses, whatever else is asked between', async () => {
    const query = resolver()
    const firsts = new Set<unknown>()
    for (let i = 0; i < 100; i++) {
      const got = data(await query('web'))
      assert.deepEqual(got.toSorted(), NAMES['web']?.v4)
      firsts.add(got[0])
      // As a client does that wants both families, and with as many addresses as make a common counter always even.
      for (const type of ['AAAA', 'A'] as const) await query('twins', type)
    }
    assert.equal(firsts.size, 3)
    const first = new Set<unknown>()
    for (let i = 0; i < 100; i++)
      for (const type of ['A', 'AAAA'] as const) first.add(data(await query('twins', type))[0])
    assert.equal(first.size, 4)
  })

  test('reverse', async () => {
    const query = resolver()
    assert.deepEqual(data(await query('2.0.0.10.in-addr.arpa', 'PTR')), ['web.net'])
    assert.equal(code(await query('9.0.0.10.in-addr.arpa', 'PTR')), RCODE.serverFailure)
  })

  test('names of one sandbox are not those of another; without servers there is nobody to ask', async () => {
    const query = resolver()
    assert.equal(code(await query('web', 'A', 'other')), RCODE.nameError)
    assert.equal(code(await query('example.com', 'A', 'internal')), RCODE.serverFailure)
  })
})

describe('other names', () => {
  const port = 20_053 + (process.pid % 10_000)
  /** What each server was asked, by its address. */
  const asked = new Map<string, string[]>()
  const sockets: { close(): void }[] = []

  function serve(address: string, answer: (query: DecodedPacket) => Buffer | undefined): Promise<void> {
    const socket = createSocket('udp4')
    socket.on('message', (message, from) => {
      const query = dnsPacket.decode(message)
      asked.set(address, [...(asked.get(address) ?? []), query.questions?.[0]?.name ?? ''])
      const reply = answer(query)
      if (reply) socket.send(reply, from.port, from.address)
    })
    sockets.push(socket)
    return new Promise((resolve) => socket.bind(port, address, () => resolve()))
  }
  const reply = (query: DecodedPacket, rcode: number, answer?: string, flags = 0): Buffer =>
    dnsPacket.encode({
      type: 'response',
      ...(query.id === undefined ? {} : { id: query.id }),
      flags: flags | rcode,
      questions: query.questions ?? [],
      answers: answer ? [{ type: 'A', name: query.questions?.[0]?.name ?? '', data: answer }] : [],
    })
  const forged = (query: DecodedPacket): Buffer => reply({ ...query, id: ((query.id ?? 0) + 1) & 0xffff }, 0, '6.6.6.6')

  before(async () => {
    await serve('127.0.0.2', (query) => reply(query, RCODE.noError, '192.0.2.2'))
    await serve('127.0.0.3', (query) => reply(query, RCODE.serverFailure))
    await serve('127.0.0.4', () => undefined)
    await serve('127.0.0.5', (query) => reply(query, RCODE.nameError))
    await serve('127.0.0.6', (query) => reply(query, RCODE.noError, undefined, dnsPacket.TRUNCATED_RESPONSE))
    await serve('127.0.0.7', forged)
    const tcp = createServer((socket) => {
      const frames = new Deframer()
      socket.on('data', (piece) => {
        for (const message of frames.push(piece)) socket.end(frame(reply(dnsPacket.decode(message), 0, '192.0.2.99')))
      })
    })
    sockets.push(tcp)
    await new Promise<void>((resolve) => tcp.listen(port, '127.0.0.6', resolve))
  })
  after(() => sockets.forEach((socket) => socket.close()))

  test('are asked of the first server, and its reply comes back under the same id', async () => {
    const got = await resolver(['127.0.0.2', '127.0.0.3'], port)('example.com')
    assert.deepEqual([got.id, data(got)], [7, ['192.0.2.2']])
    assert.equal(asked.get('127.0.0.3'), undefined)
  })

  test('a server that fails, or is not there, is passed over', async () => {
    assert.deepEqual(data(await resolver(['127.0.0.3', '127.0.0.2'], port)('a.example')), ['192.0.2.2'])
    assert.deepEqual(data(await resolver(['127.0.0.99', '127.0.0.2'], port)('b.example')), ['192.0.2.2'])
    for (const impossible of ['fe80::1%nosuch', 'not an address', '255.255.255.255', '']) {
      const got = await resolver([impossible, '127.0.0.2'], port)('b.example')
      assert.deepEqual(data(got), ['192.0.2.2'], impossible)
    }
  })

  test('a server that says nothing is waited for once, then asked last', async () => {
    const query = resolver(['127.0.0.4', '127.0.0.2'], port)
    assert.deepEqual(data(await query('c.example')), ['192.0.2.2'])
    const begin = Date.now()
    assert.deepEqual(data(await query('d.example')), ['192.0.2.2'])
    assert.ok(Date.now() - begin < 250)
    assert.deepEqual(asked.get('127.0.0.4'), ['c.example'])
  })

  test('that there is no such name is an answer', async () => {
    assert.equal(code(await resolver(['127.0.0.5', '127.0.0.2'], port)('no.example')), RCODE.nameError)
  })

  test('all fail: the failure, and for a name without dots that there is none', async () => {
    assert.equal(code(await resolver(['127.0.0.3'], port)('e.example')), RCODE.serverFailure)
    assert.equal(code(await resolver(['127.0.0.99'], port)('f.example')), RCODE.serverFailure)
    assert.equal(code(await resolver(['127.0.0.99'], port)('nobody-here')), RCODE.nameError)
  })

  test('a cut reply goes to the client, which comes again by TCP and gets it whole', async () => {
    const query = resolver(['127.0.0.6'], port)
    assert.ok((await query('big.example')).flag_tc)
    assert.deepEqual(data(await query('big.example', 'A', 's', 'tcp')), ['192.0.2.99'])
  })

  test('a forged reply is not believed', async () => {
    assert.deepEqual(data(await resolver(['127.0.0.7', '127.0.0.2'], port)('g.example')), ['192.0.2.2'])
  })

  test('one who asks too much is refused, and is the only one', async () => {
    const forwarder = new Forwarder({ port, deadlineMs: 400 })
    const made = new Resolver({ names, forwarder, servers: () => ['127.0.0.4'] })
    const [flooding, quiet] = [client('flooding'), client('quiet')]
    const flood = Array.from({ length: 100 }, async () => made.resolve(flooding, ask('x.example'), 'udp'))
    // Not even of a name without dots it is said that there is none.
    for (const name of ['x.example', 'x']) {
      const refused = await made.resolve(flooding, ask(name), 'udp')
      assert.equal(refused && rcodeOf(refused), RCODE.refused)
      assert.equal(refused?.readUInt16BE(0), 7)
    }
    const served = new Resolver({ names, forwarder, servers: () => ['127.0.0.2'] }).resolve(
      quiet,
      ask('y.example'),
      'udp',
    )
    const reply = await served
    assert.deepEqual(reply && data(dnsPacket.decode(reply)), ['192.0.2.2'])
    await Promise.all(flood)
    assert.equal(flooding.underway, 0)
  })

  test('a namespace that is gone is no answer', async () => {
    for (const transport of ['udp', 'tcp'] as const) {
      const upstream = { servers: ['127.0.0.2'], inside: true }
      assert.equal(await new Forwarder({ port }).ask(client(), ask('x.example'), upstream, transport), undefined)
    }
  })

  test('what the client asks for beside the question gets through', async () => {
    const upstream = createSocket('udp4')
    const seen = new Promise<Buffer>((resolve) => upstream.once('message', resolve))
    await new Promise<void>((resolve) => upstream.bind(port, '127.0.0.8', resolve))
    const question = dnsPacket.encode({
      type: 'query',
      id: 9,
      flags: dnsPacket.AUTHENTIC_DATA,
      questions: [{ type: 'A', name: 'h.example' }],
      additionals: [
        {
          type: 'OPT',
          name: '.',
          udpPayloadSize: 1400,
          extendedRcode: 0,
          ednsVersion: 0,
          flags: dnsPacket.DNSSEC_OK,
          flag_do: true,
          options: [],
        },
      ],
    })
    void new Forwarder({ port, deadlineMs: 600 }).ask(client(), question, usual('127.0.0.8'), 'udp')
    assert.deepEqual((await seen).subarray(2), question.subarray(2))
    upstream.close()
  })
})

test('a message that is no query gets the reply that it deserves', async () => {
  const made = new Resolver({ names, forwarder: new Forwarder(), servers: () => [] })
  assert.equal(await made.resolve(client(), Buffer.from('x'), 'udp'), undefined)
  const cut = await made.resolve(client(), ask('web').subarray(0, 15), 'udp')
  assert.equal(cut && rcodeOf(cut), RCODE.formatError)
})
