/** Something the user can act on: printed without a stack. */
export class CliError extends Error {
  readonly exitCode: number

  constructor(message: string, exitCode = 1) {
    super(message)
    this.exitCode = exitCode
  }
}

/** Prints `gantry: <message>` and ends the process. The stack is shown where GANTRY_DEBUG is set. */
export function reportFailure(error: unknown): never {
  const text = process.env['GANTRY_DEBUG'] !== undefined && error instanceof Error ? error.stack : undefined
  process.stderr.write(`gantry: ${text ?? (error instanceof Error ? error.message : String(error))}\n`)
  process.exit(error instanceof CliError ? error.exitCode : 1)
}
