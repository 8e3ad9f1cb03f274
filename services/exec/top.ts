import { execFile } from 'node:child_process'
import { type GantryError, internal, invalid, unavailable } from '../../shared/errors/index.ts'
import { isCode } from '../../shared/kernel/libc.ts'

export interface Top {
  Titles: string[]
  Processes: string[][]
}

/** Runs `ps` on the host and keeps the rows of the given processes. Errors in Docker's words (moby daemon/top_unix.go). */
export async function top(pids: readonly number[], psArgs: string): Promise<Top> {
  const args = splitArgs(psArgs === '' ? '-ef' : psArgs)
  return selectRows(await ps(args), pids)
}

export function splitArgs(psArgs: string): string[] {
  // `-o user=PID` would give another column the title that rows are found by.
  const alias = /\s+(\S*)=\s*(PID\S*)/.exec(` ${psArgs}`)
  if (alias && alias[1] !== 'pid') throw invalid(`specifying "${alias[1]}=${alias[2]}" is not allowed`)
  return psArgs.trim().split(/\s+/)
}

/** Rows of `pids`; the last column may hold spaces. */
export function selectRows(output: string, pids: readonly number[]): Top {
  const lines = output.split('\n').filter((line) => line.trim() !== '')
  const titles = (lines[0] ?? '').trim().split(/\s+/)
  const column = titles.indexOf('PID')
  if (column === -1) throw invalid("Couldn't find PID field in ps output")
  const wanted = new Set(pids)
  const rows: string[][] = []
  let previous = false
  for (const line of lines.slice(1)) {
    const fields = line.trim().split(/\s+/)
    const pid = fields[column]
    // With threads shown, `-` stands for "the process above".
    const keep: boolean = pid === '-' ? previous : wanted.has(Number(pid))
    if (keep) rows.push([...fields.slice(0, titles.length - 1), fields.slice(titles.length - 1).join(' ')])
    previous = keep
  }
  return { Titles: titles, Processes: rows }
}

function ps(args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile('ps', args, { maxBuffer: 64 << 20, timeout: 10_000 }, (error, stdout, stderr) => {
      if (!error) resolve(stdout)
      else if (isCode(error, 'ENOENT')) reject(unavailable('ps is not installed: apt-get install procps'))
      else reject(psFailure(stderr, error.code))
    })
  })
}

/** The first line of what `ps` complains of; the rest is its usage. Without a word it found no process for these options. */
export function psFailure(stderr: string, code: unknown): GantryError {
  const [reason = ''] = stderr.trim().split('\n')
  return reason === '' ? internal(`ps: exit status ${String(code)}`) : invalid(`ps: ${reason}`)
}
