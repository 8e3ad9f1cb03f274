import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { addressBytes, addressText, macBytes, macText, parsePrefix } from './inet.ts'
import { attribute, nest, parseAttributes, text, textOf, u16, u32 } from './netlink.ts'
import { newLink, parseLink, parseStats, setLink } from './rtnetlink-links.ts'
import { addAddress, parseAddress, replaceRoute } from './rtnetlink-routes.ts'

void describe('netlink attributes', () => {
  void it('are padded to four bytes and read back', () => {
    const data = Buffer.concat([text(3, 'eth0'), u16(1, 5), u32(4, 1500), nest(18, [text(1, 'veth')])])
    assert.equal(data.length % 4, 0)
    const found = parseAttributes(data)
    assert.equal(textOf(found.get(3)), 'eth0')
    assert.equal(found.get(1)?.readUInt16LE(), 5)
    assert.equal(found.get(4)?.readUInt32LE(), 1500)
    assert.equal(textOf(parseAttributes(found.get(18) ?? Buffer.alloc(0)).get(1)), 'veth')
  })

  void it('a broken length ends the list', () => {
    assert.equal(parseAttributes(Buffer.from([2, 0, 1, 0])).size, 0)
    assert.equal(parseAttributes(Buffer.from([8, 0])).size, 0)
  })
})

void describe('addresses', () => {
  void it('as bytes and back', () => {
    for (const address of ['10.1.2.3', 'fd00:1::2', '::1']) assert.equal(addressText(addressBytes(address)), address)
    assert.deepEqual([...parsePrefix('10.1.2.3/24').address], [10, 1, 2, 3])
    assert.equal(parsePrefix('fd00::1').length, 128)
    assert.equal(macText(macBytes('02:42:0a:00:00:ff')), '02:42:0a:00:00:ff')
    assert.throws(() => addressBytes('300.1.1.1'), RangeError)
  })
})

void describe('rtnetlink messages', () => {
  void it('a veth with its peer in another namespace, as `ip -d link` would send it', () => {
    const { body } = newLink(
      { name: 'host0', up: true, master: 7 },
      { kind: 'veth', peer: { name: 'eth0', netnsFd: 9, mac: '02:42:0a:00:00:02' } },
    )
    const link = parseLink(body)
    assert.deepEqual([link.name, link.up, link.master, link.kind], ['host0', true, 7, 'veth'])
    const info = parseAttributes(parseAttributes(body.subarray(16)).get(18) ?? Buffer.alloc(0))
    const data = parseAttributes(info.get(2) ?? Buffer.alloc(0)).get(1) ?? Buffer.alloc(0)
    assert.equal(parseLink(data).name, 'eth0')
    assert.equal(parseLink(data).mac, '02:42:0a:00:00:02')
    assert.equal(parseAttributes(data.subarray(16)).get(28)?.readUInt32LE(), 9)
  })

  void it('a change touches only what it names', () => {
    const { body } = setLink(3, { mtu: 1400 })
    assert.equal(body.readInt32LE(4), 3)
    assert.equal(body.readUInt32LE(12), 0, 'flags stay')
    assert.deepEqual([...parseAttributes(body.subarray(16)).keys()], [4])
    assert.equal(setLink(3, { up: false }).body.readUInt32LE(12), 1)
  })

  void it('addresses: IPv4 with broadcast, IPv6 without duplicate detection', () => {
    const v4 = addAddress(2, '10.1.2.3/24').body
    assert.deepEqual(parseAddress(v4), { linkIndex: 2, cidr: '10.1.2.3/24' })
    assert.equal(addressText(parseAttributes(v4.subarray(8)).get(4) ?? Buffer.alloc(4)), '10.1.2.255')
    const v6 = addAddress(2, 'fd00::3/64').body
    assert.equal(parseAddress(v6).cidr, 'fd00::3/64')
    assert.equal(parseAttributes(v6.subarray(8)).get(8)?.readUInt32LE(), 2)
    assert.equal(parseAttributes(addAddress(2, '10.0.0.1/31').body.subarray(8)).has(4), false)
  })

  void it('routes', () => {
    const decode = (body: Buffer) => {
      const attributes = parseAttributes(body.subarray(12))
      const [destination, gateway] = [attributes.get(1), attributes.get(5)].map((a) => a && addressText(a))
      const [family, length, , , table, , , type] = body
      return { family, length, table, type, destination, gateway, device: attributes.get(4)?.readUInt32LE() }
    }
    const common = { table: 254, type: 1 }
    assert.deepEqual(decode(replaceRoute({ destination: 'default4', gateway: '10.0.0.1', linkIndex: 4 }).body), {
      ...common,
      ...{ family: 2, length: 0, destination: undefined, gateway: '10.0.0.1', device: 4 },
    })
    assert.deepEqual(decode(replaceRoute({ destination: 'fd00:2::/48', linkIndex: 1 }).body), {
      ...common,
      ...{ family: 10, length: 48, destination: 'fd00:2::', gateway: undefined, device: 1 },
    })
  })

  void it('counters come from struct rtnl_link_stats64', () => {
    const values = Buffer.alloc(8 * 24)
    ;[1n, 2n, 3n, 4n, 5n, 6n, 7n, 8n].forEach((v, i) => values.writeBigUInt64LE(v, i * 8))
    const header = Buffer.alloc(12)
    header.writeUInt32LE(42, 4)
    const { index, counters } = parseStats(Buffer.concat([header, attribute(1, values)]))
    assert.equal(index, 42)
    assert.deepEqual(counters, {
      rx_packets: 1,
      tx_packets: 2,
      rx_bytes: 3,
      tx_bytes: 4,
      rx_errors: 5,
      tx_errors: 6,
      rx_dropped: 7,
      tx_dropped: 8,
    })
  })
})
