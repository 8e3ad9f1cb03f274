import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type HostsContent, hostsText, refreshHosts } from './hosts-file.ts'
import { forwardersFrom, parseResolvConf, resolvConfText } from './resolv-conf.ts'

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

  void it('host-gateway without a default bridge is left out', () => {
    assert.doesNotMatch(hostsText(content({ hostGateway: undefined, extraHosts: ['gw:host-gateway'] })), /gw/)
  })

  void it('is refreshed line by line: what the container wrote stays', () => {
    const before = content({ links: [{ address: '10.0.0.3', names: ['db'] }] })
    const written = `${hostsText(before)}1.2.3.4\tmine\n`
    const now = content({ own: ['10.0.0.2', '10.1.0.2'], links: [{ address: '', names: ['db'] }] })
    const text = refreshHosts(written, now)
    assert.match(text, /^1\.2\.3\.4\tmine$/m)
    assert.doesNotMatch(text, /\tdb$/m)
    assert.deepEqual(
      text.split('\n').filter((line) => line.endsWith('\tme')),
      ['10.0.0.2\tme', '10.1.0.2\tme'],
    )
    assert.equal(refreshHosts(text, now), text)
  })

  void it('the last address goes with the last network', () => {
    assert.doesNotMatch(refreshHosts(hostsText(content()), content({ own: [] })), /\tme$/m)
  })
})

void describe('/etc/resolv.conf', () => {
  const host = parseResolvConf('# x\nnameserver 127.0.0.53\nnameserver 9.9.9.9\nsearch a.org b.org\noptions edns0\n')
  const none = { dns: [], dnsSearch: [], dnsOptions: [] }

  void it('is read as resolv.conf(5) says', () => {
    assert.deepEqual(host, { nameservers: ['127.0.0.53', '9.9.9.9'], search: ['a.org', 'b.org'], options: ['edns0'] })
    assert.deepEqual(parseResolvConf('domain x\nsearch y z\n').search, ['y', 'z'])
  })

  void it('on the default bridge it is the host’s, without servers on its loopback', () => {
    assert.equal(resolvConfText(host, none, false), 'nameserver 9.9.9.9\nsearch a.org b.org\noptions edns0\n')
    assert.deepEqual(forwardersFrom(parseResolvConf('nameserver 127.0.0.1\nnameserver ::1\n')), ['8.8.8.8', '8.8.4.4'])
  })

  void it('--dns, --dns-search and --dns-option replace it', () => {
    const wishes = { dns: ['1.1.1.1'], dnsSearch: ['c.org'], dnsOptions: ['ndots:3'] }
    assert.equal(resolvConfText(host, wishes, false), 'nameserver 1.1.1.1\nsearch c.org\noptions ndots:3\n')
    assert.equal(resolvConfText(host, { ...none, dnsSearch: ['.'] }, false), 'nameserver 9.9.9.9\noptions edns0\n')
  })

  void it('on user-defined networks it is the embedded DNS', () => {
    assert.equal(
      resolvConfText(host, { ...none, dns: ['1.1.1.1'] }, true),
      'nameserver 127.0.0.11\nsearch a.org b.org\noptions edns0 ndots:0\n',
    )
    assert.match(resolvConfText(host, { ...none, dnsOptions: ['ndots:5'] }, true), /options ndots:5\n/)
  })
})
