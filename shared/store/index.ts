export * from './store.ts'
export * from './relay.ts'
