import { networkDriverSuite } from './network.ts'

networkDriverSuite({ driver: 'bridge', mtuOption: 'com.docker.network.driver.mtu' })
