import { internal, invalid, type GantryError } from '../errors/index.ts'

/**
 * What Docker's clients look for in an error from a runtime: the CLI exits with 127 for a command that is not there and 126 for
 * one that cannot be executed (cli/command/container/run.go, moby daemon/start.go).
 */
export function runtimeExitCode(message: string): 126 | 127 | undefined {
  if (/permission denied|is a directory/i.test(message)) return 126
  if (/executable file( .*)? not found|no such file or directory/i.test(message)) return 127
  return undefined
}

/** A failed `create`, in Docker's words. */
export const createFailure = (message: string): GantryError =>
  failure(
    `failed to create task for container: failed to create shim task: OCI runtime create failed: ${message}: unknown`,
    runtimeExitCode(message) ?? 128,
  )

/** A failed `exec`, in Docker's words. */
export const execFailure = (message: string): GantryError =>
  failure(`OCI runtime exec failed: ${message}: unknown`, runtimeExitCode(message) ?? 126)

const failure = (message: string, exitCode: number): GantryError =>
  exitCode === 128 ? internal(message, { details: { exitCode } }) : invalid(message, { details: { exitCode } })

/** The message of the last error line in logrus's text format (runc's stderr); the text itself when there is none. */
export function logrusMessage(stderr: string): string {
  const lines = [...stderr.matchAll(/level=(?:error|fatal) msg=("(?:[^"\\]|\\.)*"|\S+)/g)]
  const last = lines.at(-1)?.[1]
  if (last === undefined) return stderr.trim()
  if (!last.startsWith('"')) return last
  try {
    return JSON.parse(last) as string
  } catch {
    // Go quotes some characters in ways that JSON does not know (\x00).
    return last.slice(1, -1).replaceAll('\\"', '"')
  }
}
