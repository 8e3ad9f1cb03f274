import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { it } from 'node:test'
import type { OutputChunk, StdioConnection } from '../drivers/exec.ts'
import { withEarlyOutput } from './session-log.ts'

const record = (stream: string, text: string): string => `2026-11-21T01:59:35.883803549+00:00 ${stream} F ${text}\n`

async function* chunks(...texts: string[]): AsyncGenerator<OutputChunk> {
  for (const text of texts) yield { channel: 1, data: Buffer.from(text) }
}
const connection = (...texts: string[]): StdioConnection => ({
  output: chunks(...texts),
  write: async () => true,
  closeStdin: () => undefined,
  close: () => undefined,
})
async function drain(stdio: StdioConnection): Promise<[number, string][]> {
  const seen: [number, string][] = []
  for await (const { channel, data } of stdio.output) seen.push([channel, Buffer.from(data).toString()])
  stdio.close()
  return seen
}

it('output that conmon had nobody to send to comes from the log, also when that is removed meanwhile; once', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'early-output-'))
  t.after(() => rmSync(dir, { recursive: true, force: true }))
  const log = join(dir, 'output.log')
  writeFileSync(log, record('stdout', 'one') + record('stderr', 'two'))
  const seen = withEarlyOutput(connection('live\n'), log)
  const missed = withEarlyOutput(connection(), log)
  rmSync(log)
  assert.deepEqual(await drain(missed), [
    [1, 'one\n'],
    [2, 'two\n'],
  ])
  assert.deepEqual(await drain(seen), [[1, 'live\n']])
  assert.deepEqual(await drain(withEarlyOutput(connection(), log)), [], 'without a log')
})
