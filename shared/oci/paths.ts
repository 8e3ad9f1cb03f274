import { join } from 'node:path'
import { SHIM_FILES } from '../conmon/shim.ts'

/** Where an OCI driver keeps what, below its run directory. Short: the shim's socket is there. */
export class OciPaths {
  /** The runtime's own state (`--root`). */
  readonly state: string
  readonly bundles: string
  readonly sessions: string
  readonly exits: string
  readonly probe: string

  constructor(runDir: string) {
    this.state = join(runDir, 'state')
    this.bundles = join(runDir, 'bundles')
    this.sessions = join(runDir, 'sessions')
    this.exits = join(runDir, 'exits')
    this.probe = join(runDir, 'probe')
  }

  bundle(id: string): string {
    return join(this.bundles, id)
  }

  session(id: string): string {
    return join(this.sessions, id)
  }

  sessionLog(id: string): string {
    return join(this.sessions, id, 'output.log')
  }

  attach(dir: string): string {
    return join(dir, SHIM_FILES.attach)
  }

  control(dir: string): string {
    return join(dir, SHIM_FILES.control)
  }
}
