import type { DriverSet, ExecDriver, LogDriver } from '../../shared/drivers/index.ts'
import { invalid, isKind } from '../../shared/errors/index.ts'

/** The drivers of both kinds that this service loads, with Docker's words for a name that is none. */
export class ExecDrivers {
  readonly exec: DriverSet<ExecDriver>
  readonly logs: DriverSet<LogDriver>

  constructor(exec: DriverSet<ExecDriver>, logs: DriverSet<LogDriver>) {
    this.exec = exec
    this.logs = logs
  }

  /** A runtime by name; empty for the default. `invalid` for an unknown one, `unavailable` for one that cannot run here. */
  runtime(name: string): ExecDriver {
    if (name === '') return this.exec.default()
    try {
      return this.exec.get(name)
    } catch (error) {
      if (!isKind(error, 'not-found')) throw error
      throw invalid(`unknown or invalid runtime name: ${name} (${error.message})`)
    }
  }

  log(name: string): LogDriver {
    if (name === '') return this.logs.default()
    try {
      return this.logs.get(name)
    } catch (error) {
      if (!isKind(error, 'not-found')) throw error
      throw invalid(`logger: no log driver named '${name}' is registered (${error.message})`)
    }
  }
}
