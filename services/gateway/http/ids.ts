import { randomBytes } from 'node:crypto'

/** A container, exec, network or volume id: 64 hex digits. The gateway chooses them, so that repeating a verb is harmless. */
export const newId = (): string => randomBytes(32).toString('hex')
