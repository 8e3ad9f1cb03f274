export { isListenedOn, isRelayed, routedBindings, type Families, type Way } from './addresses.ts'
export { PortAllocator, type OnRefusal } from './allocator.ts'
export { HeldPorts } from './held-ports.ts'
