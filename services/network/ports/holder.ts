import { readdirSync, readFileSync, readlinkSync } from 'node:fs'

/** Only for an error message, so slow is fine: which process of this host has a port. */

/** Inodes of sockets with this local port: /proc/net/{tcp,udp,...}, proc(5). */
function inodesOf(protocol: string, port: number): Set<string> {
  const hex = port.toString(16).toUpperCase().padStart(4, '0')
  const found = new Set<string>()
  for (const file of [protocol, `${protocol}6`]) {
    let lines: string[]
    try {
      lines = readFileSync(`/proc/net/${file}`, 'utf8').split('\n').slice(1)
    } catch {
      continue
    }
    for (const line of lines) {
      const [, local, , state, , , , , , inode] = line.trim().split(/\s+/)
      // TCP: listening only. UDP has no such state.
      if (local?.endsWith(`:${hex}`) && (protocol !== 'tcp' || state === '0A') && inode) found.add(`socket:[${inode}]`)
    }
  }
  return found
}

/** `nginx (pid 123)`, or undefined when it cannot be found out. */
export function processOnPort(protocol: string, port: number): string | undefined {
  const inodes = inodesOf(protocol, port)
  if (inodes.size === 0) return undefined
  for (const pid of readdirSync('/proc')) {
    if (!/^\d+$/.test(pid)) continue
    try {
      const held = readdirSync(`/proc/${pid}/fd`).some((fd) => inodes.has(linkOf(`/proc/${pid}/fd/${fd}`)))
      if (held) return `${readFileSync(`/proc/${pid}/comm`, 'utf8').trim()} (pid ${pid})`
    } catch {
      // It ended meanwhile.
    }
  }
  return undefined
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path)
  } catch {
    return ''
  }
}
