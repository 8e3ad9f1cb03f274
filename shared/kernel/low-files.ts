import { closeSync, openSync } from 'node:fs'
import { isCode } from './libc.ts'

/**
 * libnftables waits for its socket with select(2), whose sets end at descriptor 1023: with a higher one it ends the process. A
 * process that may hold thousands of sockets keeps some low descriptors for it, taken while there are any.
 */
const COUNT = 4
const spare: number[] = []

/** Runs what opens a descriptor, which gets a low one. */
export function onLowFile<T>(open: () => T): T {
  const fd = spare.pop()
  if (fd !== undefined) closeSync(fd)
  return open()
}

/** Keeps one low descriptor more: right after what was opened so was closed, the lowest that is free is its own. */
export function reclaimLowFile(): void {
  if (spare.length >= COUNT) return
  try {
    spare.push(openSync('/dev/null', 'r'))
  } catch (error) {
    if (!isCode(error, 'EMFILE', 'ENFILE')) throw error
  }
}

for (let i = 0; i < COUNT; i++) reclaimLowFile()
