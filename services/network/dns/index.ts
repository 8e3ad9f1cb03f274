export { DnsServer } from './server.ts'
export { DNS_ADDRESS } from './sandbox-sockets.ts'
export type { NameAnswer, NameSource } from './types.ts'
