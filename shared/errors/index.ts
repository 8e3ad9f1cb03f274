export * from './gantry-error.ts'
export * from './mapping.ts'
