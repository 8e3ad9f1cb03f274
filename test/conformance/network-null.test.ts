import { networkDriverSuite } from './network.ts'

networkDriverSuite({ driver: 'null' })
