import { networkDriverSuite } from './network.ts'

networkDriverSuite({ driver: 'macvlan', title: 'macvlan without a parent' })
