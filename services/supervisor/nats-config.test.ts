import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { natsConfig } from './nats-config.ts'
import { permissionsOf } from './nats-permissions.ts'
import { BUS_USERS, type BusUser } from './paths.ts'

/** NATS subject matching: `*` is one token, `>` the rest. */
function matches(pattern: string, subject: string): boolean {
  const wanted = pattern.split('.')
  const given = subject.split('.')
  for (const [i, token] of wanted.entries()) {
    if (token === '>') return given.length > i
    if (given[i] === undefined || (token !== '*' && token !== given[i])) return false
  }
  return wanted.length === given.length
}
const mayPublish = (user: BusUser, subject: string): boolean =>
  permissionsOf(user, 'n1').publish.some((pattern) => matches(pattern, subject))
const maySubscribe = (user: BusUser, subject: string): boolean =>
  permissionsOf(user, 'n1').subscribe.some((pattern) => matches(pattern, subject))

describe('bus permissions', () => {
  const cases: [BusUser, string, boolean][] = [
    ['gateway', 'gantry.n1.engine.container.create', true],
    ['gateway', 'gantry.n1.network.network.create', true],
    // One way down: the gateway starts no sandbox, and the services below the engine call nobody.
    ['gateway', 'gantry.n1.network.sandbox.create', false],
    ['engine', 'gantry.n1.network.sandbox.create', true],
    ['engine', 'gantry.n1.exec.process.run', true],
    ['network', 'gantry.n1.exec.process.run', false],
    ['storage', 'gantry.n1.engine.container.list', false],
    ['admin', 'gantry.n1.gateway.health', true],
    ['engine', 'gantry.n2.exec.process.run', false],
    ['exec', 'gantry.n1.facts.exec.process.exited', true],
    ['exec', 'gantry.n1.facts.cgroup.oom', false],
    ['network', 'gantry.n1.facts.service.ready', true],
    ['engine', 'gantry.n1.events.container.die', true],
    ['network', 'gantry.n1.events.container.die', false],
    ['cgroup', 'gantry.n1.stats.abc', true],
    ['network', 'gantry.n1.stats.abc', true],
    ['exec', 'gantry.n1.stats.abc', false],
    ['gateway', 'gantry.n1.stats.abc', false],
    ['engine', 'gantry.n1.changes.engine', true],
    ['engine', 'gantry.n1.changes.network', false],
    ['engine', '$JS.API.CONSUMER.DURABLE.CREATE.FACTS.engine', true],
    ['engine', '$JS.API.CONSUMER.MSG.NEXT.FACTS.engine', true],
    ['engine', '$JS.ACK.FACTS.engine.1.2.3.4.5', true],
    ['network', '$JS.API.CONSUMER.CREATE.FACTS', false],
    ['gateway', '$JS.API.CONSUMER.CREATE.EVENTS.abc', true],
    ['gateway', '$JS.API.CONSUMER.CREATE.FACTS.abc', false],
    ['gateway', '$JS.API.STREAM.DELETE.EVENTS', false],
    ['engine', '_INBOX_gateway.abc', true],
    ['cgroup', '_INBOX_network.abc', false],
    ['cgroup', '_INBOX_engine.abc', true],
    ['gateway', '_INBOX_engine.abc', false],
    ['network', '_INBOX_admin.abc', true],
  ]
  for (const [user, subject, allowed] of cases) {
    test(`${user} ${allowed ? 'may' : 'may not'} publish ${subject}`, () => {
      assert.equal(mayPublish(user, subject), allowed)
    })
  }

  test('a user reads its own inbox and its own verbs only', () => {
    for (const user of BUS_USERS) {
      assert.equal(maySubscribe(user, `_INBOX_${user}.abc.1`), true)
      for (const other of BUS_USERS.filter((name) => name !== user)) {
        assert.equal(maySubscribe(user, `_INBOX_${other}.abc.1`), false)
        assert.equal(maySubscribe(user, `gantry.n1.${other}.health`), false)
      }
    }
  })
})

test('the configuration listens on the loopback address and quotes what it is given', () => {
  const passwords = Object.fromEntries(BUS_USERS.map((user) => [user, `pw-${user}`])) as Record<BusUser, string>
  const text = natsConfig({
    node: 'n1',
    port: 30123,
    storeDir: '/a "b"/nats',
    logFile: '/l',
    portsDir: '/p',
    passwords,
  })
  assert.match(text, /^listen: "127\.0\.0\.1:30123"$/m)
  assert.ok(text.includes('store_dir: "/a \\"b\\"/nats"'))
  for (const user of BUS_USERS) assert.ok(text.includes(`password: "pw-${user}"`))
})
