import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { isKind } from '../../shared/errors/index.ts'
import { changingLines, type HostsContent, hostsText, refreshHosts } from './hosts-file.ts'
import { forwardersFrom, parseResolvConf, resolvConfText } from './resolv-conf.ts'
import { dnsServers } from './sandbox-files.ts'

const content = (more: Partial<HostsContent> = {}): HostsContent => ({
  own: ['10.0.0.2'],
  hostname: 'me',
  domainname: '',
  extraHosts: [],
  hostGateway: '172.17.0.1',
  links: [],
  ...more,
})

void describe('/etc/hosts', () => {
  void it('loopback, extra hosts, links, then the container itself', () => {
    const text = hostsText(
      content({
        domainname: 'example.org',
        own: ['10.0.0.2', 'fd00::2'],
        extraHosts: ['db:10.9.9.9', 'gw:host-gateway', 'six:fd00::9'],
        links: [
          { address: '10.0.0.3', names: ['alias', 'abc', 'web'] },
          { address: '', names: ['down', 'def', 'down'] },
        ],
      }),
    )
    assert.deepEqual(text.split('\n').slice(6), [
      '10.9.9.9\tdb',
      '172.17.0.1\tgw',
      'fd00::9\tsix',
      '10.0.0.3\talias abc web',
      '10.0.0.2\tme.example.org me',
      'fd00::2\tme.example.org me',
      '',
    ])
    assert.match(text, /^127\.0\.0\.1\tlocalhost\n::1\tlocalhost/)
  })

  void it('host-gateway without a default bridge is refused', () => {
    assert.throws(
      () => hostsText(content({ hostGateway: undefined, extraHosts: ['gw:host-gateway'] })),
      (e) => isKind(e, 'invalid') && /host-gateway.*--add-host gw:<address>/.test(e.message),
    )
  })

  void it('is refreshed line by line: what the container and --add-host wrote stays', () => {
    const before = content({ extraHosts: ['me:9.9.9.9'], links: [{ address: '10.0.0.3', names: ['db'] }] })
    const written = `${hostsText(before)}1.2.3.4\tmine\n\n# end\n5.6.7.8\tme\n`
    const now = content({ own: ['10.0.0.2', '10.1.0.2'], links: [{ address: '', names: ['db'] }] })
    const text = refreshHosts(written, changingLines(before), changingLines(now))
    assert.match(text, /^1\.2\.3\.4\tmine\n\n# end$/m)
    assert.doesNotMatch(text, /\tdb$/m)
    assert.deepEqual(
      text.split('\n').filter((line) => line.endsWith('\tme')),
      ['9.9.9.9\tme', '10.0.0.2\tme', '5.6.7.8\tme', '10.1.0.2\tme'],
    )
    assert.equal(refreshHosts(text, changingLines(now), changingLines(now)), text)
    // As when the service died while it wrote: what it meant to write is taken for written, and is not there.
    const both = [...changingLines(before), ...changingLines(now)]
    assert.equal(refreshHosts(written, both, changingLines(now)), text)
  })

  void it('the last address goes with the last network', () => {
    assert.doesNotMatch(refreshHosts(hostsText(content()), changingLines(content()), []), /\tme$/m)
  })
})

void describe('/etc/resolv.conf', () => {
  const host = parseResolvConf('# x\nnameserver 127.0.0.53\nnameserver 9.9.9.9\nsearch a.org b.org\noptions edns0\n')
  const none = { dns: [], dnsSearch: [], dnsOptions: [] }

  void it('is read as resolv.conf(5) says', () => {
    assert.deepEqual(host, { nameservers: ['127.0.0.53', '9.9.9.9'], search: ['a.org', 'b.org'], options: ['edns0'] })
    assert.deepEqual(parseResolvConf('domain x\nsearch y z\n').search, ['y', 'z'])
  })

  void it('on the default bridge it is the host’s, without servers that the container cannot reach', () => {
    assert.equal(resolvConfText(host, none, 'ipv4'), 'nameserver 9.9.9.9\nsearch a.org b.org\noptions edns0\n')
    const on = (reach: 'ipv4' | 'dual', ...servers: string[]): string[] =>
      forwardersFrom(parseResolvConf(servers.map((s) => `nameserver ${s}\n`).join('')), reach)
    assert.deepEqual(on('ipv4', '127.0.0.1', '::1'), ['8.8.8.8', '8.8.4.4'])
    assert.deepEqual(on('ipv4', '2001:db8::53', 'fe80::1%eth0', '9.9.9.9'), ['9.9.9.9'])
    assert.deepEqual(on('dual', '2001:db8::53', 'fe80::1%eth0', '9.9.9.9'), ['2001:db8::53', '9.9.9.9'])
    assert.deepEqual(on('ipv4', '2001:db8::53'), ['8.8.8.8', '8.8.4.4'])
    assert.deepEqual(on('dual').slice(1, 3), ['8.8.4.4', '2001:4860:4860::8888'])
  })

  void it('--dns, --dns-search and --dns-option replace it', () => {
    const wishes = { dns: ['1.1.1.1'], dnsSearch: ['c.org'], dnsOptions: ['ndots:3'] }
    assert.equal(resolvConfText(host, wishes, 'ipv4'), 'nameserver 1.1.1.1\nsearch c.org\noptions ndots:3\n')
    assert.equal(resolvConfText(host, { ...none, dnsSearch: ['.'] }, 'ipv4'), 'nameserver 9.9.9.9\noptions edns0\n')
    assert.equal(
      resolvConfText(host, { ...none, dnsSearch: ['.'] }, 'host'),
      'nameserver 127.0.0.53\nnameserver 9.9.9.9\noptions edns0\n',
    )
  })

  void it('on user-defined networks it is the embedded DNS', () => {
    assert.equal(
      resolvConfText(host, { ...none, dns: ['1.1.1.1'] }, 'embedded'),
      'nameserver 127.0.0.11\nsearch a.org b.org\noptions edns0 ndots:0\n',
    )
    assert.match(resolvConfText(host, { ...none, dnsOptions: ['ndots:5'] }, 'embedded'), /options ndots:5\n/)
  })

  void it('the embedded DNS asks public servers where the host names none', () => {
    assert.deepEqual(dnsServers(undefined, () => '# nothing\n')(), ['8.8.8.8', '8.8.4.4'])
    assert.deepEqual(dnsServers(undefined, () => 'nameserver 127.0.0.53\n')(), ['127.0.0.53'])
    assert.deepEqual(dnsServers(['1.1.1.1'])(), ['1.1.1.1'])
  })
})
