export { PortAllocator, type Families } from './allocator.ts'
