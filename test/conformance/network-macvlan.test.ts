import { networkDriverSuite } from './network.ts'

networkDriverSuite({
  driver: 'macvlan',
  options: { parent: 'par0' },
  mtuOption: 'com.docker.network.driver.mtu',
  prepare: (host) => {
    host.newLink({ name: 'par0' }, { kind: 'veth', peer: { name: 'far0' } })
    for (const end of ['par0', 'far0']) host.setLink(end, { up: true })
  },
})
