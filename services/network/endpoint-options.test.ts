import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isKind } from '../../shared/errors/index.ts'
import { checkEndpointOptions } from './endpoint-options.ts'

const IFNAME = 'com.docker.network.endpoint.ifname'
const SYSCTLS = 'com.docker.network.endpoint.sysctls'

test('options of an endpoint that can be', () => {
  const sysctls = 'net.ipv4.conf.IFNAME.log_martians=1, net.ipv6.neigh.ifname.mcast_solicit=2'
  checkEndpointOptions({ [IFNAME]: 'lan0', [SYSCTLS]: sysctls, team: 'net', 'com.example.a': 'b' })
})

for (const [name, value, text] of [
  [IFNAME, 'lo', /interface name/],
  [IFNAME, 'a/b', /interface name/],
  [SYSCTLS, 'net.ipv4.conf.eth0.log_martians=1', /should be like/],
  [SYSCTLS, 'net.ipv4.ip_forward=1', /should be like/],
  [SYSCTLS, 'net.ipv4.conf.IFNAME.log_martians', /should be like/],
  ['com.docker.network.endpoint.nonsense', '1', /there are: .*ifname, .*sysctls/],
] as const) {
  test(`refuses ${name}=${value}`, () => {
    assert.throws(
      () => checkEndpointOptions({ [name]: value }),
      (error) => isKind(error, 'invalid') && error.message.includes(name) && text.test(error.message),
    )
  })
}
