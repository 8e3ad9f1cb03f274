export { Firewall } from './firewall.ts'
export type { FirewallModel, FirewallNetwork, Protocol, PublishedPort } from './types.ts'
