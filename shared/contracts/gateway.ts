import { Empty, Health } from './common.ts'
import { contract, verb } from './verb.ts'

export const gatewayContract = contract('gateway', '1.0.0', {
  health: verb({ summary: 'Readiness, API addresses.', request: Empty, reply: Health, callers: ['admin'] }),
})
export type GatewayContract = typeof gatewayContract
