import assert from 'node:assert/strict'
import { it } from 'node:test'
import { withScratchNetns } from './netns.ts'
import { dumpHostRoutes } from './route-dump.ts'

const skip = process.getuid?.() === 0 ? false : 'needs root'

void it('routes come whole, also to many who ask at once', { skip }, async () => {
  const dumps = withScratchNetns((link) => {
    link.newLink({ name: 'v' }, { kind: 'veth', peer: { name: 'w' } })
    const index = link.link('v')?.index ?? 0
    for (const name of ['v', 'w']) link.setLink(link.link(name)?.index ?? 0, { up: true })
    link.addAddress(index, '10.1.0.1/24')
    for (let i = 0; i < 500; i++) link.replaceRoute({ destination: `10.2.${i >> 8}.${i & 255}/32`, linkIndex: index })
    // The sockets are made in here and stay here.
    return Array.from({ length: 20 }, () => dumpHostRoutes())
  })
  for (const routes of await Promise.all(dumps)) {
    const main = routes.filter(({ table, destination }) => table === 254 && destination.startsWith('10.'))
    assert.equal(main.length, 501)
    assert.ok(main.some(({ destination }) => destination === '10.2.1.243/32'))
  }
})
