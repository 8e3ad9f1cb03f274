import { readFileSync, writeFileSync } from 'node:fs'

/** `net.ipv4.ip_forward` to its file. A part with a dot in it (an interface name) is written with `/` in place of dots. */
function file(name: string): string {
  const parts = name.includes('/') ? name : name.replaceAll('.', '/')
  if (parts.split('/').includes('..')) throw new RangeError(`"${name}" is not a sysctl`)
  return `/proc/sys/${parts}`
}

/** A kernel parameter; `net.*` ones are those of the calling thread's network namespace. Throws ENOENT. */
export const readSysctl = (name: string): string => readFileSync(file(name), 'utf8').trim()

/** Sets a parameter. Writing takes the kernel's network lock for some, so an equal value is left alone with `onlyIfOther`. */
export function writeSysctl(name: string, value: string, onlyIfOther = false): void {
  const path = file(name)
  if (onlyIfOther && readFileSync(path, 'utf8').trim() === value) return
  writeFileSync(path, value)
}

/** The same, but a kernel without this parameter is no error; says whether it has it. */
export function trySysctl(name: string, value: string): boolean {
  try {
    writeSysctl(name, value, true)
    return true
  } catch {
    return false
  }
}
