import { spawn } from 'node:child_process'

export interface CommandResult {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

export interface CommandOptions {
  readonly env?: NodeJS.ProcessEnv
  readonly input?: string
  readonly timeoutMs?: number
}

/** Runs a program to its end; every exit code is a result. One that takes too long is killed, and that throws. */
export function command(
  program: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<CommandResult> {
  const { env = process.env, input = '', timeoutMs = 60_000 } = options
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { env, stdio: 'pipe' })
    const output = { stdout: '', stderr: '' }
    child.stdout.setEncoding('utf8').on('data', (text: string) => (output.stdout += text))
    child.stderr.setEncoding('utf8').on('data', (text: string) => (output.stderr += text))
    const timer = setTimeout(() => {
      child.kill('SIGKILL')
      reject(
        new Error(`${program} ${args.join(' ')}: not done within ${timeoutMs} ms\n${output.stdout}${output.stderr}`),
      )
    }, timeoutMs)
    child.once('error', reject)
    child.once('close', (code, signal) => {
      clearTimeout(timer)
      resolve({ code: code ?? 128, ...output, ...(signal === null ? {} : { stderr: `${output.stderr}(${signal})` }) })
    })
    // The program may end without reading its input.
    child.stdin.on('error', () => undefined)
    child.stdin.end(input)
  })
}
