export { Firewall } from './firewall.ts'
export { FAMILIES } from './types.ts'
export type { Family, FirewallModel, FirewallNetwork, Protocol, PublishedPort } from './types.ts'
