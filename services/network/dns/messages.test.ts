import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import dnsPacket, { type OptAnswer, type RecordType } from 'dns-packet'
import { Deframer, frame } from './frames.ts'
import {
  addressRecord,
  isReplyTo,
  makeReply,
  parseQuery,
  RCODE,
  rcodeOf,
  reverseAddress,
  type Query,
} from './messages.ts'

const EDNS: OptAnswer = {
  type: 'OPT',
  name: '.',
  udpPayloadSize: 4096,
  extendedRcode: 0,
  ednsVersion: 0,
  flags: 0,
  flag_do: false,
  options: [],
}
const ask = (name: string, type: RecordType = 'A', more: { additionals?: OptAnswer[] } = {}): Buffer =>
  dnsPacket.encode({
    type: 'query',
    id: 4711,
    flags: dnsPacket.RECURSION_DESIRED,
    questions: [{ type, name }],
    ...more,
  })

function query(message: Buffer): Query {
  const parsed = parseQuery(message)
  assert.ok(parsed && 'query' in parsed)
  return parsed.query
}

describe('queries', () => {
  test('are understood, names in lower case', () => {
    const { name, question, packet } = query(ask('Web.MyNet', 'AAAA'))
    assert.deepEqual([name, question.type, packet.id], ['web.mynet', 'AAAA', 4711])
  })

  const bad: [string, Buffer, number | undefined][] = [
    ['nothing', Buffer.alloc(0), undefined],
    ['half a header', Buffer.alloc(7), undefined],
    ['a reply', dnsPacket.encode({ type: 'response', id: 1, questions: [{ type: 'A', name: 'x' }] }), undefined],
    ['no question', dnsPacket.encode({ type: 'query', id: 1 }), RCODE.formatError],
    ['a question cut short', ask('web').subarray(0, 16), RCODE.formatError],
    ['another operation', ((m) => (m.writeUInt8(0x28, 2), m))(Buffer.from(ask('web'))), RCODE.notImplemented],
    [
      'a name that points to itself',
      Buffer.from('1267010000010000000000 00c00c00010001'.replaceAll(' ', ''), 'hex'),
      RCODE.formatError,
    ],
  ]
  for (const [name, message, rcode] of bad) {
    test(`refused: ${name}`, () => {
      const parsed = parseQuery(message)
      if (rcode === undefined) return assert.equal(parsed, undefined)
      assert.ok(parsed && 'reply' in parsed)
      assert.equal(rcodeOf(parsed.reply), rcode)
      assert.equal(parsed.reply.readUInt16BE(0), message.readUInt16BE(0))
      return undefined
    })
  }

  test('no bytes whatever make it throw', () => {
    let seed = 1
    const random = (): number => (seed = (Math.imul(seed, 1103515245) + 12345) >>> 0) >>> 16
    const base = ask('some.name.example', 'A', { additionals: [EDNS] })
    for (let i = 0; i < 20_000; i++) {
      const message = Buffer.from(i % 2 === 0 ? base : Buffer.alloc(random() % 80))
      const count = i % 2 === 0 ? 1 + (random() % 4) : message.length
      for (let n = 0; n < count; n++) if (message.length > 0) message[random() % message.length] = random() & 0xff
      parseQuery(message)
    }
  })
})

describe('replies', () => {
  const addresses = (count: number) =>
    Array.from({ length: count }, (_, i) => addressRecord('A', 'many', `10.0.${i >> 8}.${i & 255}`))

  test('carry the id, the question and the answers', () => {
    const reply = dnsPacket.decode(
      makeReply(query(ask('Web')), RCODE.noError, [addressRecord('A', 'Web', '10.0.0.1')], 'udp'),
    )
    assert.equal(reply.id, 4711)
    assert.deepEqual(reply.questions, [{ name: 'Web', type: 'A', class: 'IN' }])
    assert.deepEqual(
      reply.answers?.map((a) => 'data' in a && a.data),
      ['10.0.0.1'],
    )
    assert.ok(reply.flag_qr && reply.flag_rd && reply.flag_ra && !reply.flag_tc)
  })

  test('over UDP are cut to 512 bytes, or what EDNS says, and say so', () => {
    const plain = makeReply(query(ask('many')), RCODE.noError, addresses(100), 'udp')
    const extended = makeReply(query(ask('many', 'A', { additionals: [EDNS] })), RCODE.noError, addresses(100), 'udp')
    for (const [reply, limit] of [
      [plain, 512],
      [extended, 1232],
    ] as const) {
      assert.ok(reply.length <= limit && reply.length > limit - 30, `${reply.length}`)
      assert.ok(dnsPacket.decode(reply).flag_tc)
    }
    assert.equal(dnsPacket.decode(extended).additionals?.[0]?.type, 'OPT')
  })

  test('over TCP are whole', () => {
    const reply = dnsPacket.decode(makeReply(query(ask('many')), RCODE.noError, addresses(100), 'tcp'))
    assert.equal(reply.answers?.length, 100)
    assert.ok(!reply.flag_tc)
  })

  test('are told from forgeries', () => {
    const question = ask('web')
    const reply = (name: string, id = 4711): Buffer =>
      dnsPacket.encode({ type: 'response', id, questions: [{ type: 'A', name }] })
    assert.ok(isReplyTo(reply('web'), question, 4711))
    assert.ok(!isReplyTo(reply('web', 1), question, 4711))
    assert.ok(!isReplyTo(reply('evil'), question, 4711))
    assert.ok(!isReplyTo(question, question, 4711))
    assert.ok(!isReplyTo(Buffer.alloc(3), question, 4711))
  })
})

test('reverse names', () => {
  assert.equal(reverseAddress('2.1.77.10.in-addr.arpa'), '10.77.1.2')
  assert.equal(reverseAddress(`${'a.0.0.0.'.repeat(1)}${'0.'.repeat(20)}6.0.0.0.7.7.d.f.ip6.arpa`), 'fd77:6::a')
  for (const none of ['1.77.10.in-addr.arpa', '300.1.1.1.in-addr.arpa', '1.ip6.arpa', 'web', 'in-addr.arpa']) {
    assert.equal(reverseAddress(none), undefined, none)
  }
})

test('frames are put together however they are cut', () => {
  const messages = ['one', '', 'three'].map((text) => Buffer.from(text))
  const stream = Buffer.concat(messages.map((message) => frame(message)))
  for (let size = 1; size <= stream.length; size++) {
    const deframer = new Deframer()
    const got: string[] = []
    for (let at = 0; at < stream.length; at += size) {
      got.push(...deframer.push(stream.subarray(at, at + size)).map((message) => message.toString()))
    }
    assert.deepEqual(got, ['one', '', 'three'])
  }
})
