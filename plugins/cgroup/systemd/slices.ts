import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/*
 * systemd keeps a slice that it made by itself for ever. A unit file with StopWhenUnneeded (systemd.unit(5)) lets it go with its
 * last scope; systemd decides that itself, so that no container can start in a slice that is just being stopped.
 */

const file = (dir: string, slice: string): string => join(dir, slice)

/** `dir`: /run/systemd/system, forgotten at a reboot. A unit of the administrator's in /etc goes before it. */
export function writeSlice(dir: string, slice: string): void {
  mkdirSync(dir, { recursive: true })
  const text = `[Unit]\nDescription=Containers of Gantry (${slice})\nStopWhenUnneeded=yes\n`
  writeFileSync(file(dir, slice), text, { flag: 'wx' })
}

export function removeSlice(dir: string, slice: string): void {
  rmSync(file(dir, slice), { force: true })
}
