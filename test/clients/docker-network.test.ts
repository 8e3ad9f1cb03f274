import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { IMAGE } from '../support/busybox.ts'
import { command } from '../support/command.ts'
import { startEngine, type TestEngine } from '../support/engine.ts'
import { until } from '../support/until.ts'

/** Networks as the unchanged docker command sees them, against an engine of its own. */
describe('docker network', () => {
  let engine: TestEngine
  /** Subnets for these tests: a /16 beside those that the engine uses by itself. */
  let net: string

  before(async () => {
    engine = await startEngine()
    const gateway = await gatewayOf('bridge')
    net = `10.${Number(gateway.split('.')[1]) - 96}`
  })
  after(() => engine.stop())

  const split = (args: string | readonly string[]): readonly string[] =>
    typeof args === 'string' ? args.split(' ') : args
  /** Standard output, trimmed, of a command that must succeed. Arguments are parted by blanks; a list is taken as it is. */
  const ok = async (args: string | readonly string[]): Promise<string> => {
    const result = await engine.docker(split(args))
    assert.equal(result.code, 0, `docker ${split(args).join(' ')}: ${result.code}\n${result.stdout}${result.stderr}`)
    return result.stdout.trim()
  }
  const fails = async (args: string, message: RegExp): Promise<void> => {
    const result = await engine.docker(split(args))
    assert.notEqual(result.code, 0, result.stdout + result.stderr)
    assert.match(result.stderr, message)
  }
  const start = (name: string, options: string): Promise<string> =>
    ok(['run', '-d', '--name', name, ...split(options), IMAGE, 'sleep', '1000'])
  const sh = (container: string, line: string): Promise<string> => ok(['exec', container, 'sh', '-c', line])
  const address = (container: string, network: string, member = 'IPAddress'): Promise<string> =>
    ok(['inspect', '-f', `{{(index .NetworkSettings.Networks "${network}").${member}}}`, container])
  const pings = async (container: string, to: string, count = 1): Promise<boolean> => {
    const pid = await ok(['inspect', '-f', '{{.State.Pid}}', container])
    const ping = ['busybox', 'ping', `-c${count}`, '-W1', to]
    return (await command('nsenter', ['-t', pid, '-n', ...ping])).code === 0
  }
  /** A new port carries frames a moment later: what follows is not for want of that. */
  const alive = (container: string, gateway: string): Promise<unknown> =>
    until(`${container} reaches its gateway`, 5000, () => pings(container, gateway))
  const gatewayOf = (network: string): Promise<string> =>
    ok(['network', 'inspect', '-f', '{{(index .IPAM.Config 0).Gateway}}', network])
  const addressesOf = async (container: string, name: string): Promise<string[]> => {
    const { stdout } = await engine.docker(['exec', container, 'nslookup', name])
    const [, answer = ''] = stdout.split(/Name:/)
    return [...stdout.slice(stdout.indexOf(answer)).matchAll(/Address:\s*([\d.]+)$/gm)].map(([, found = '']) => found)
  }
  /** Networks and containers that are gone when the work is done, however it ends. */
  const using = async (names: { networks: string[]; containers?: string[] }, work: () => Promise<void>) => {
    try {
      await work()
    } finally {
      if (names.containers) await engine.docker(['rm', '-f', ...names.containers])
      await engine.docker(['network', 'rm', ...names.networks])
    }
  }

  test('create with everything, inspect, ls, rm', () =>
    using({ networks: ['full'], containers: ['whole'] }, async () => {
      const id = await ok([
        ...['network', 'create', '--subnet', `${net}.1.0/24`, '--ip-range', `${net}.1.128/25`],
        ...['--gateway', `${net}.1.254`, '--aux-address', `router=${net}.1.128`, '--label', 'team=net'],
        ...['-o', 'com.docker.network.driver.mtu=1400', '-o', 'com.docker.network.container_iface_prefix=lan', 'full'],
      ])
      assert.match(id, /^[0-9a-f]{64}$/)
      assert.equal(
        await ok(['network', 'inspect', '-f', '{{json .IPAM.Config}} {{.Labels.team}}', id.slice(0, 12)]),
        `[{"Subnet":"${net}.1.0/24","IPRange":"${net}.1.128/25","Gateway":"${net}.1.254",` +
          `"AuxiliaryAddresses":{"router":"${net}.1.128"}}] net`,
      )
      assert.equal(
        await ok('network ls --filter label=team=net --format {{.Name}}/{{.Driver}}/{{.Scope}}'),
        'full/bridge/local',
      )
      await start('whole', '--network full')
      assert.equal(await address('whole', 'full'), `${net}.1.129`, 'from the range, without the auxiliary address')
      assert.match(await sh('whole', 'ip addr show lan0'), /mtu 1400/)
      assert.match(await sh('whole', 'ip route'), new RegExp(`^default via ${net}\\.1\\.254 dev lan0`, 'm'))
      await fails(`run --rm --network full --ip ${net}.1.128 ${IMAGE} true`, /already in use.*router/)
    }))

  test('static IP and MAC; one that is taken is refused naming its holder', () =>
    using({ networks: ['static'], containers: ['fixed'] }, async () => {
      await ok(`network create --subnet ${net}.2.0/24 static`)
      await start('fixed', `--network name=static,ip=${net}.2.50,mac-address=02:42:0a:4d:01:99`)
      assert.match(await sh('fixed', 'ip addr show eth0'), new RegExp(`02:42:0a:4d:01:99[^]*inet ${net}\\.2\\.50/24`))
      assert.equal(await address('fixed', 'static', 'MacAddress'), '02:42:0a:4d:01:99')
      await fails(`run --rm --network static --ip ${net}.2.50 ${IMAGE} true`, /Address already in use.*fixed/)
      await fails(`run --rm --network static --ip ${net}.9.50 ${IMAGE} true`, /no configured subnet contains/)
      await fails(`run --rm --network bridge --ip ${net}.2.51 ${IMAGE} true`, /user defined networks only/)
    }))

  test('connect and disconnect a running container, aliases, gateway priority', () =>
    using({ networks: ['one', 'two'], containers: ['mover', 'asker'] }, async () => {
      await ok('network create one')
      await ok('network create two')
      await start('mover', '--network one')
      await start('asker', '--network two')
      await ok('network connect --alias moved --gw-priority 5 two mover')
      const [one, two] = [await gatewayOf('one'), await gatewayOf('two')]
      assert.match(await sh('mover', 'ip route'), new RegExp(`^default via ${two} dev eth1`, 'm'))
      const there = await address('mover', 'two')
      for (const name of ['moved', 'mover']) assert.deepEqual(await addressesOf('asker', name), [there], name)
      await alive('asker', there)
      await fails('network connect two mover', /already exists in network two/)
      await ok('network disconnect two mover')
      assert.match(await sh('mover', 'ip route'), new RegExp(`^default via ${one} dev eth0`, 'm'))
      assert.deepEqual(await addressesOf('asker', 'moved'), [])
      assert.equal(await pings('asker', there, 2), false)
      await fails('network disconnect two mover', /is not connected to (the )?network two/)
    }))

  test('a connect that is refused is told nobody: events are of what has happened', () =>
    using({ networks: ['open', 'inner'], containers: ['holder', 'refused'] }, async () => {
      await ok('network create open')
      await ok('network create --internal inner')
      await start('holder', '--network open -p 18431:80')
      const id = await start('refused', '--network inner -p 18431:80')
      await fails('network connect open refused', /port is already allocated \(tcp, by container holder\)/)
      await ok('network disconnect inner refused')
      const told = async (): Promise<string[]> =>
        (await ok(['events', '--since', '1m', '--until', '0s', '--filter', 'type=network', '--format', '{{json .}}']))
          .split('\n')
          .map((line) => JSON.parse(line) as { Action: string; Actor: { Attributes: Record<string, string> } })
          .filter(({ Actor }) => Actor.Attributes['container'] === id)
          .map(({ Action, Actor }) => `${Action} ${Actor.Attributes['name']}`)
      await until('the last event', 5000, async () => (await told()).includes('disconnect inner'))
      assert.deepEqual(await told(), ['connect inner', 'disconnect inner'])
    }))

  test('a container that was renamed is known by its new name alone, and shows that', () =>
    using({ networks: ['names'], containers: ['later', 'asker'] }, async () => {
      await ok('network create names')
      const id = await start('sooner', '--network names')
      await start('asker', '--network names')
      await ok('rename sooner later')
      assert.deepEqual(
        JSON.parse(await ok(['inspect', '-f', '{{json .NetworkSettings.Networks.names.DNSNames}}', 'later'])),
        ['later', id.slice(0, 12)],
      )
      assert.equal((await addressesOf('asker', 'later')).length, 1)
      assert.deepEqual(await addressesOf('asker', 'sooner'), [])
    }))

  test('a network that is made anew is found by the containers of the former one', () =>
    using({ networks: ['again'], containers: ['stays'] }, async () => {
      await ok('network create again')
      await start('stays', '--network again')
      await ok('stop -t 0 stays')
      await ok('network rm again')
      await fails('start stays', /network again not found/)
      await ok(`network create --subnet ${net}.8.0/24 again`)
      await ok('start stays')
      assert.equal(await address('stays', 'again'), `${net}.8.2`)
      await ok('stop -t 0 stays')
      await ok('network disconnect again stays')
      await fails(`network connect --ip ${net}.9.5 again stays`, /no configured subnet contains/)
    }))

  test('a routed network: the port of the container itself, none of the host', () =>
    using({ networks: ['routed'], containers: ['direct'] }, async () => {
      await ok('network create -o com.docker.network.bridge.gateway_mode_ipv4=routed routed')
      await ok([
        'run',
        '-d',
        '--name',
        'direct',
        '--network',
        'routed',
        '-p',
        '18432:80',
        IMAGE,
        'httpd',
        '-f',
        '-h',
        '/www',
      ])
      assert.equal(
        await ok(['inspect', '-f', '{{json .NetworkSettings.Ports}}', 'direct']),
        '{"80/tcp":[{"HostIp":"0.0.0.0","HostPort":""}]}',
      )
      assert.equal(await ok('ps --filter name=direct --format {{.Ports}}'), '80/tcp')
      await alive('direct', await gatewayOf('routed'))
      const page = await command('curl', ['-sS', '-m2', `http://${await address('direct', 'routed')}/`])
      assert.equal(page.stdout.trim(), 'hello-from-httpd')
    }))

  test('one alias of several containers leads to all of them', () =>
    using({ networks: ['robin'], containers: ['r1', 'r2', 'r3'] }, async () => {
      await ok('network create robin')
      for (const name of ['r1', 'r2', 'r3']) await start(name, '--network robin --network-alias app')
      const all = await Promise.all(['r1', 'r2', 'r3'].map((name) => address(name, 'robin')))
      assert.deepEqual((await addressesOf('r1', 'app')).sort(), all.sort())
      const first = new Set<string | undefined>()
      for (let n = 0; n < 20 && first.size < 2; n++) first.add((await addressesOf('r1', 'app'))[0])
      assert.ok(first.size > 1, 'always in the same order')
      await ok('stop -t 0 r3')
      assert.equal((await addressesOf('r1', 'app')).length, 2)
    }))

  test('links: on a network of its own a name for the one who asked, on the default bridge a line in hosts', () =>
    using({ networks: ['linked'], containers: ['db', 'web', 'old-db', 'old-web'] }, async () => {
      await ok('network create linked')
      await start('db', '--network linked')
      await start('web', '--network linked --link db:store')
      assert.deepEqual(await addressesOf('web', 'store'), [await address('db', 'linked')])
      assert.deepEqual(await addressesOf('db', 'store'), [])
      await start('old-db', '--network bridge')
      await start('old-web', '--link old-db:store')
      const line = new RegExp(`^${await address('old-db', 'bridge')}\\s+store `, 'm')
      assert.match(await sh('old-web', 'cat /etc/hosts'), line)
    }))

  test('prune takes what nobody uses; what is in use is not removed, naming who uses it', () =>
    using({ networks: ['used', 'idle'], containers: ['user'] }, async () => {
      await ok('network create used')
      await ok('network create idle')
      await start('user', '--network used')
      await fails('network rm used', /network used has active endpoints \(name:"user" id:"[0-9a-f]+"\)/)
      assert.equal(await ok('network prune -f'), 'Deleted Networks:\nidle')
      await fails('network rm idle', /network idle not found/)
      await fails('network rm bridge', /pre-defined network and cannot be removed/)
      const events = `events --since 1m --until 0s --filter type=network --filter event=prune --format {{.Action}}`
      await until('the event', 5000, async () => (await ok(events)).includes('prune'))
    }))

  test('what cannot be is refused, naming the culprit', () =>
    using({ networks: ['first'] }, async () => {
      await ok(`network create --subnet ${net}.3.0/24 -o com.docker.network.bridge.name=${engine.name}x first`)
      await fails('network create first', /network with name first already exists/)
      await fails(`network create --subnet ${net}.3.128/25 second`, /overlaps with .*\.3\.0\/24 of network first/)
      await fails(`network create -o com.docker.network.bridge.name=${engine.name}x second`, /same bridge name/)
      await fails(`network create --subnet ${net}.4.0/24 --subnet ${net}.5.0/24 second`, /multiple subnets/)
      await fails('network create -o com.docker.network.bridge.nonsense=1 second', /no option .*nonsense.*there are/)
      await fails('network create -d nonsense second', /"nonsense" not found/)
      assert.equal(await ok('network ls -q --filter name=second'), '')
    }))

  test('networks are kept apart, and an internal one has no way out', () =>
    using(
      { networks: ['left', 'right', 'inner'], containers: ['in-left', 'in-right', 'inner1', 'inner2'] },
      async () => {
        await ok('network create left')
        await ok('network create right')
        await ok('network create --internal inner')
        await start('in-left', '--network left')
        await start('in-right', '--network right')
        await start('inner1', '--network inner')
        await start('inner2', '--network inner')
        await alive('in-left', await gatewayOf('left'))
        await alive('in-right', await gatewayOf('right'))
        await alive('inner1', await address('inner2', 'inner'))
        assert.equal(await pings('in-left', await address('in-right', 'right'), 2), false)
        assert.doesNotMatch(await sh('inner1', 'ip route'), /default/)
        await ok(['exec', '--privileged', 'inner1', 'ip', 'route', 'add', 'default', 'via', await gatewayOf('inner')])
        assert.equal(await pings('inner1', await address('in-left', 'left'), 2), false, 'not even with a route')
      },
    ))

  test('without icc containers reach the host, and published ports, but not each other', () =>
    using({ networks: ['apart'], containers: ['apart1', 'apart2'] }, async () => {
      await ok('network create -o com.docker.network.bridge.enable_icc=false apart')
      await ok(['run', '-d', '--name', 'apart1', '--network', 'apart', '-p', '80', IMAGE, 'httpd', '-f', '-h', '/www'])
      await start('apart2', '--network apart')
      const gateway = await gatewayOf('apart')
      for (const name of ['apart1', 'apart2']) await alive(name, gateway)
      assert.equal(await pings('apart2', await address('apart1', 'apart'), 2), false)
      const port = (await ok('port apart1 80')).split('\n')[0]?.split(':').at(-1)
      for (const name of ['apart1', 'apart2']) {
        assert.equal(await sh(name, `wget -qO- http://${gateway}:${port}/`), 'hello-from-httpd', `from ${name}`)
      }
    }))

  test('IPv6', () =>
    using({ networks: ['six'], containers: ['s1', 's2'] }, async () => {
      await ok(`network create --ipv6 --subnet fd00:${net.slice(3)}:1::/64 --subnet ${net}.6.0/24 six`)
      await start('s1', `--network six --ip6 fd00:${net.slice(3)}:1::50`)
      await start('s2', '--network six')
      assert.equal(await address('s1', 'six', 'GlobalIPv6Address'), `fd00:${net.slice(3)}:1::50`)
      await until('s1 answers', 5000, () => pings('s2', `fd00:${net.slice(3)}:1::50`))
      assert.match(await sh('s2', 'ip -6 route'), new RegExp(`^default via fd00:${net.slice(3)}:1::1 dev eth0`, 'm'))
    }))

  describe('macvlan', () => {
    const lan = (): string => `${engine.name}p`
    const ip = async (...args: string[]): Promise<void> =>
      assert.equal((await command('ip', args)).code, 0, args.join(' '))
    before(async () => {
      await ip('link', 'add', lan(), 'type', 'veth', 'peer', 'name', `${engine.name}q`)
      for (const end of [lan(), `${engine.name}q`]) await ip('link', 'set', end, 'up')
      await ip('addr', 'add', `${net}.7.1/24`, 'dev', lan())
    })
    after(() => ip('link', 'delete', lan()))

    test("on the host's own network", () =>
      using({ networks: ['lan'], containers: ['m1', 'm2'] }, async () => {
        await ok(`network create -d macvlan -o parent=${lan()} --subnet ${net}.7.0/24 --gateway ${net}.7.254 lan`)
        await start('m1', `--network lan --ip ${net}.7.50`)
        await start('m2', '--network lan')
        await alive('m2', `${net}.7.50`)
        assert.match(await sh('m2', 'ip route'), new RegExp(`^default via ${net}\\.7\\.254 dev eth0`, 'm'))
        assert.deepEqual(await addressesOf('m2', 'm1'), [`${net}.7.50`])
      }))

    test('without a parent: its containers reach each other', () =>
      using({ networks: ['island'], containers: ['m3', 'm4'] }, async () => {
        await ok('network create -d macvlan island')
        await start('m3', '--network island')
        await start('m4', '--network island')
        await alive('m4', await address('m3', 'island'))
        await fails('network create -d macvlan -o parent=nonsense0 second', /has no interface nonsense0/)
      }))
  })

  test('no network is left', async () => {
    assert.equal(await ok('network ls --filter type=custom -q'), '')
    const mine = (await command('ip', ['-o', 'link'])).stdout.split('\n').filter((line) => line.includes(engine.name))
    assert.deepEqual(
      mine.map((line) => line.split(': ')[1]),
      [`${engine.name}0`],
    )
  })
})
