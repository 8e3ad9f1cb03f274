import { networkDriverSuite } from './network.ts'

networkDriverSuite({ driver: '_template', title: 'template' })
