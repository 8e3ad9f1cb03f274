export * from './module.ts'
export * from './start.ts'
export * from './version.ts'
