import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { newId, processSpec, runRequest, startTestBed, type TestBed } from './testing.ts'

const ROUNDS = Number(process.env['GANTRY_CRASH_ROUNDS'] ?? 6)
const self = fileURLToPath(import.meta.url)

/** The victim: runs and removes containers and sessions as fast as it can, and says what it was promised. */
async function victim(dir: string): Promise<never> {
  // A pipe: written when the call returns.
  const say = (what: string, id: string): void => void writeSync(1, `${what} ${id}\n`)
  const bed = await startTestBed({ dir, onFact: ({ fact }) => say('told', String(fact['id'])) })
  say('ready', '')
  const life = async (n: number): Promise<void> => {
    for (;;) {
      const request = runRequest(bed, n === 0 ? ['sleep', '1000'] : ['sh', '-c', 'sleep 0.05; exit 3'], {
        shmShareable: n === 0,
      })
      await bed.call('process.run', request)
      say('ran', request.id)
      const session = newId()
      const process = processSpec(['sleep', '1000'])
      await bed
        .call('session.start', {
          ...{ id: session, container: request.id, process, stdin: false, stdout: false, stderr: false },
          ...{ detach: true, detachKeys: '' },
        })
        .catch(() => undefined)
      say('deleting', request.id)
      await bed.call('process.delete', { id: request.id })
      say('deleted', request.id)
    }
  }
  await Promise.all([life(0), life(1)])
  throw new Error('not reached')
}

/** Processes whose command line names the directory. */
const processesOf = (dir: string): string[] =>
  readdirSync('/proc')
    .filter((p) => /^\d+$/.test(p))
    .map((p) => {
      try {
        return readFileSync(`/proc/${p}/cmdline`, 'utf8').replaceAll('\0', ' ')
      } catch {
        return ''
      }
    })
    .filter((line) => line.includes(`${dir}/`))

if (process.argv[2] === 'victim') await victim(process.argv[3] ?? '')

/** What the victim said before it died. */
interface Said {
  /** By container: the last of `ran`, `deleting`, `deleted`. */
  readonly promised: Map<string, string>
  readonly told: Set<string>
}

async function killAtRandom(dir: string): Promise<Said> {
  const child = spawn(process.execPath, ['--import', 'tsx', self, 'victim', dir], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const said: Said = { promised: new Map(), told: new Set() }
  let kill: NodeJS.Timeout | undefined
  createInterface({ input: child.stdout }).on('line', (line) => {
    const [what = '', id = ''] = line.split(' ')
    if (what === 'ready') kill = setTimeout(() => child.kill('SIGKILL'), Math.random() * 400)
    else if (what === 'told') said.told.add(id)
    else said.promised.set(id, what)
  })
  await once(child, 'close')
  clearTimeout(kill)
  assert.equal(child.signalCode, 'SIGKILL', 'the victim ended by itself')
  return said
}

async function checkPromises(bed: TestBed, { promised, told }: Said): Promise<void> {
  const list = await bed.call<{ id: string; status: string }[]>('process.list')
  for (const [id, what] of promised) {
    const state = list.find((p) => p.id === id)?.status
    if (what === 'ran') assert.ok(state === 'running' || state === 'exited', `${id} ran and is now ${state}`)
    if (what === 'deleted') assert.equal(state, undefined, `${id} was deleted`)
    if (state === 'exited' && !told.has(id)) await bed.fact('exec.process.exited', id)
  }
  assert.ok(!list.some((p) => p.status === 'creating'))
  const known = list.map((p) => p.id)
  for (const line of processesOf(bed.dir)) {
    assert.ok(
      known.some((id) => line.includes(id)),
      `nobody owns: ${line}`,
    )
  }
}

/** Files, mounts and processes that are there although everything was removed. */
function remains(dir: string): string[] {
  const runtime = join(dir, 'run', 'exec', 'runc')
  return [
    ...['state', 'bundles', 'exits', 'sessions'].flatMap((sub) => readdirSync(join(runtime, sub))),
    ...readFileSync('/proc/self/mountinfo', 'utf8')
      .split('\n')
      .filter((line) => line.includes(`${dir}/`)),
    ...processesOf(dir),
  ]
}

describe('exec service under kill -9', { skip: process.getuid?.() === 0 ? false : 'needs root' }, () => {
  it('keeps what it promised and leaves nothing behind', { timeout: 120_000 }, async () => {
    const dir = mkdtempSync(join(tmpdir(), 'gx-crash-'))
    for (let round = 0; round < ROUNDS; round++) {
      const said = await killAtRandom(dir)
      const bed = await startTestBed({ dir })
      let passed = false
      try {
        await checkPromises(bed, said)
        await bed.call('process.reconcile', { keep: [] })
        // A shim lives some moments longer than its process.
        for (let i = 0; remains(dir).length > 0 && i < 100; i++) {
          await new Promise((resolve) => setTimeout(resolve, 20))
        }
        assert.deepEqual(remains(dir), [], `round ${round}`)
        passed = true
      } finally {
        await bed.close({ keep: passed && round < ROUNDS - 1 })
      }
    }
  })
})
