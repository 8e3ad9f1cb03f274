export { isListenedOn, isRelayed, type Families } from './addresses.ts'
export { PortAllocator, type OnRefusal } from './allocator.ts'
export { HeldPorts } from './held-ports.ts'
