import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readlinkSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { isCode } from './libc.ts'
import { deleteLinkIn, LinkReaper } from './link-reaper.ts'
import { createNetns, deleteNetns, isNetns, withNetns, withNetnsLink, withScratchNetns } from './netns.ts'
import type { RtNetlink } from './rtnetlink.ts'

const skip = process.getuid?.() === 0 ? false : 'needs root'
const dir = mkdtempSync(join(tmpdir(), 'gantry-netns-'))
const here = (): string => readlinkSync('/proc/thread-self/ns/net')
/** Destination and gateway of each IPv4 route in the main table of this thread's namespace. */
const mainRoutes = (): (string | undefined)[][] => {
  const routes = JSON.parse(execFileSync('ip', ['-json', '-4', 'route'], { encoding: 'utf8' })) as {
    dst: string
    gateway?: string
  }[]
  return routes.map(({ dst, gateway }) => [dst, gateway]).sort()
}
const code = (wanted: string) => (error: unknown) => isCode(error, wanted)

after(() => rmSync(dir, { recursive: true, force: true }))

void describe('network namespaces', { skip }, () => {
  const home = skip === false ? here() : ''

  void it('are pinned to a file, with loopback up, and left again', () => {
    const path = join(dir, 'one')
    const inside = createNetns(path, (link) => {
      assert.equal(link.link('lo')?.up, true)
      return here()
    })
    try {
      assert.notEqual(inside, home)
      assert.equal(here(), home)
      assert.ok(isNetns(path))
      assert.equal(withNetns(path, here), inside)
      assert.throws(() => createNetns(path, () => undefined), code('EEXIST'))
      assert.ok(isNetns(path), 'the one that was there stays')
    } finally {
      deleteNetns(path)
    }
    deleteNetns(path)
    assert.ok(!existsSync(path))
    assert.ok(!isNetns(path))
  })

  void it('a failure in work brings home, and leaves nothing', () => {
    const path = join(dir, 'two')
    const fail = (): never => {
      throw new Error('no')
    }
    assert.throws(() => createNetns(path, fail), /no/)
    assert.ok(!existsSync(path))
    assert.throws(() => withScratchNetns(fail), /no/)
    assert.equal(here(), home)
  })

  void it('work that would go on elsewhere is refused', () => {
    assert.throws(() => withScratchNetns(() => Promise.resolve()), /synchronous/)
    assert.throws(() => withScratchNetns(() => withScratchNetns(here)), /already in another/)
    assert.equal(here(), home)
  })

  void it('a missing one is ENOENT', () => {
    assert.throws(() => withNetns(join(dir, 'none'), here), code('ENOENT'))
  })
})

void describe('rtnetlink', { skip }, () => {
  const bridge = (link: RtNetlink): number => {
    link.newLink({ name: 'br0', up: true, mac: '02:00:00:00:00:01' }, { kind: 'bridge' })
    return link.link('br0')?.index ?? 0
  }

  void it('makes, shows, changes and deletes links', () => {
    withScratchNetns((link) => {
      const index = bridge(link)
      link.newLink({ name: 'a', up: true, master: index }, { kind: 'veth', peer: { name: 'b' } })
      assert.deepEqual(
        link.links().map((l) => [l.name, l.kind, l.master, l.up]),
        [
          ['lo', '', 0, false],
          ['br0', 'bridge', 0, true],
          ['b', 'veth', 0, false],
          ['a', 'veth', index, true],
        ],
      )
      assert.equal(link.link('br0')?.mac, '02:00:00:00:00:01')
      link.setLink('br0', { mtu: 1300 })
      assert.equal(link.link('br0')?.mtu, 1300)
      link.setLink('a', { master: 0, up: false, alias: 'mine' })
      assert.deepEqual([link.link('a')?.master, link.link('a')?.up, link.link('a')?.alias], [0, false, 'mine'])
      assert.equal(link.deleteLink('a'), true)
      assert.equal(link.deleteLink('a'), false)
      assert.equal(link.link('b'), undefined)
      assert.ok(link.counters().has(index))
    })
  })

  void it('errors have the errno’s name and the kernel’s reason', () => {
    withScratchNetns((link) => {
      const index = bridge(link)
      assert.throws(() => bridge(link), code('EEXIST'))
      const unreachable = { destination: 'default4', gateway: '10.9.9.9', linkIndex: index }
      assert.throws(() => link.replaceRoute(unreachable), /default4 via 10\.9\.9\.9: Nexthop has invalid gateway/)
      assert.throws(() => link.setLink('none', { up: true }), code('ENODEV'))
    })
  })

  void it('addresses and routes', () => {
    withScratchNetns((link) => {
      const index = bridge(link)
      for (const cidr of ['10.1.0.1/24', 'fd00:1::1/64']) {
        link.addAddress(index, cidr)
        link.addAddress(index, cidr)
      }
      assert.deepEqual(
        link
          .addresses(index)
          .map((a) => a.cidr)
          .filter((cidr) => !cidr.startsWith('fe80'))
          .sort(),
        ['10.1.0.1/24', 'fd00:1::1/64'],
      )
      link.replaceRoute({ destination: 'default4', gateway: '10.1.0.2', linkIndex: index })
      link.replaceRoute({ destination: 'default4', gateway: '10.1.0.3', linkIndex: index })
      link.replaceRoute({ destination: '10.2.0.0/16', linkIndex: index })
      assert.deepEqual(mainRoutes(), [
        ['10.1.0.0/24', undefined],
        ['10.2.0.0/16', undefined],
        ['default', '10.1.0.3'],
      ])
      link.deleteRoute({ destination: 'default4', linkIndex: index })
      link.deleteRoute({ destination: 'default4', linkIndex: index })
      link.deleteAddress(index, '10.1.0.1/24')
      assert.deepEqual(mainRoutes(), [])
    })
  })

  void it('a large dump comes whole', () => {
    withScratchNetns((link) => {
      for (let i = 0; i < 300; i++) link.newLink({ name: `v${i}` }, { kind: 'veth', peer: { name: `w${i}` } })
      assert.equal(link.links().length, 601)
    })
  })
})

void describe('deleting in the background', { skip }, () => {
  void it('deletes many links, each once; a missing one is no error', async () => {
    const path = join(dir, 'reaped')
    createNetns(path, (link) => {
      for (let i = 0; i < 5; i++) link.newLink({ name: `v${i}` }, { kind: 'veth', peer: { name: `w${i}` } })
    })
    try {
      await Promise.all(['v0', 'v0', 'v1', 'none'].map((name) => deleteLinkIn(path, name)))
      const names = withNetnsLink(path, (link) => link.links().map((l) => l.name))
      assert.deepEqual(names.sort(), ['lo', 'v2', 'v3', 'v4', 'w2', 'w3', 'w4'])
    } finally {
      deleteNetns(path)
    }
  })

  void it('a reaper tells when a link is gone', async () => {
    const reaper = new LinkReaper()
    const gone = [reaper.delete('gantry-none-1'), reaper.delete('gantry-none-2')]
    await reaper.gone('gantry-none-1')
    await Promise.all(gone)
    await reaper.close()
  })
})
