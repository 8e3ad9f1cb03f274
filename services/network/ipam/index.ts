export { checkAddress } from './addresses.ts'
export { Ipam } from './ipam.ts'
export { parseWishes } from './wishes.ts'
export type { AddressLease, AddressRequest, HostRoute, Pool, PoolRange, PoolWish } from './types.ts'
