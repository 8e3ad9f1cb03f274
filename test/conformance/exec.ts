import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, before, describe, it } from 'node:test'
import { pino } from 'pino'
import { BundleBuilder } from '../../services/exec/bundle.ts'
import { makeRootfs, newId, processSpec, removeCgroups, runRequest } from '../../services/exec/testing.ts'
import {
  loadDriverModule,
  type CreateSpec,
  type DriverContext,
  type ExecDriver,
  type ProcessHandle,
  type SessionHandle,
  type StdioConnection,
} from '../../shared/drivers/index.ts'
import { isKind } from '../../shared/errors/index.ts'
import { configuredGroup, joinedV2Group } from '../../shared/oci/groups.ts'

interface Outcome {
  stdout: string
  stderr: string
  exitCode: number
}

interface Case {
  readonly name: string
  readonly script: string
  readonly tty?: boolean
  /** Written to stdin, which is then closed. */
  readonly input?: string
  readonly expect: Partial<Outcome>
}

const CASES: readonly Case[] = [
  { name: 'success', script: 'true', expect: { stdout: '', stderr: '', exitCode: 0 } },
  { name: 'exit code', script: 'exit 7', expect: { exitCode: 7 } },
  { name: 'exit code 255', script: 'exit 255', expect: { exitCode: 255 } },
  { name: 'streams apart', script: 'echo o; echo e >&2', expect: { stdout: 'o\n', stderr: 'e\n' } },
  { name: 'no newline at the end', script: 'echo -n o', expect: { stdout: 'o' } },
  { name: 'no stdin', script: 'wc -c', expect: { stdout: '0\n', exitCode: 0 } },
  { name: 'stdin', script: 'wc -c', input: 'x'.repeat(100_000), expect: { stdout: '100000\n' } },
  { name: 'stdin back', script: 'cat; echo end >&2', input: 'a\nb', expect: { stdout: 'a\nb', stderr: 'end\n' } },
  { name: 'input that nobody reads', script: 'exit 3', input: 'x'.repeat(1_000_000), expect: { exitCode: 3 } },
  { name: 'much output', script: 'seq 1 100000', expect: { stdout: sequence(100_000) } },
  {
    name: 'terminal',
    script: 'tty >/dev/null && echo o; echo e >&2',
    tty: true,
    expect: { stdout: 'o\r\ne\r\n', stderr: '' },
  },
  { name: 'terminal with stdin', script: 'read x; echo got-$x', tty: true, input: 'word\n', expect: { exitCode: 0 } },
  { name: 'killed by itself', script: 'sh -c "kill -9 \\$\\$"; exit $?', expect: { exitCode: 137 } },
]

function sequence(to: number): string {
  return Array.from({ length: to }, (_, i) => `${i + 1}\n`).join('')
}

/**
 * What every exec driver must do, on the real kernel (root). `folder` is the driver's folder. A driver that cannot run here is skipped with
 * its own reason. Notes for implementors: removing is repeated, and works by id alone; errors are checked by kind.
 */
export function execConformance(name: string, folder: string): void {
  describe(`exec driver ${name}`, () => {
    const base = join(process.env['GANTRY_TEST_DIR'] ?? tmpdir(), `gxd-${randomBytes(4).toString('hex')}`)
    const rootfs = join(base, 'rootfs')
    const bundles = new BundleBuilder()
    let driver: ExecDriver
    let unusable: string | undefined

    /** A driver as after a restart of the service: what was in memory is gone. */
    const start = async (): Promise<ExecDriver> => {
      const module = await loadDriverModule<ExecDriver, DriverContext>('exec', folder)
      const dirs = { stateDir: join(base, 'state'), runDir: join(base, 'run') }
      for (const dir of Object.values(dirs)) mkdirSync(dir, { recursive: true })
      const made = module.create({ log: pino({ level: 'silent' }), engine: 'gxd', ...dirs })
      const probe = await made.probe()
      unusable = probe.usable ? undefined : probe.reason
      return made
    }
    // The driver's own watches do not keep a process alive.
    let alive: NodeJS.Timeout
    before(async () => {
      makeRootfs(rootfs)
      alive = setInterval(() => undefined, 60_000)
      driver = await start()
    })
    afterEach(async () => {
      for (const id of (await driver.list()).containers) await driver.remove(id)
    })
    after(async () => {
      clearInterval(alive)
      await driver.close()
      removeCgroups(base)
      rmSync(base, { recursive: true, force: true })
    })

    const test = (title: string, work: () => Promise<void>): void => {
      it(title, { timeout: 60_000 }, async (t) => {
        if (unusable === undefined) await work()
        else t.skip(`cannot run here: ${unusable}`)
      })
    }

    function spec(args: readonly string[], more: Partial<CreateSpec> = {}, user: object = {}): CreateSpec {
      const request = runRequest({ dir: base, rootfs }, args, { process: { tty: more.terminal ?? false, ...user } })
      return {
        id: request.id,
        config: bundles.config(request),
        terminal: false,
        stdin: false,
        stdinOnce: false,
        systemdCgroup: false,
        logArgs: ['-l', 'none'],
        ...more,
      }
    }
    const sleeper = async (more: Partial<CreateSpec> = {}): Promise<ProcessHandle> => {
      const handle = await driver.create(spec(['sleep', '1000'], more))
      await handle.start()
      return handle
    }

    async function drain(stdio: StdioConnection): Promise<{ stdout: string; stderr: string }> {
      const parts: Buffer[][] = [[], []]
      for await (const { channel, data } of stdio.output) parts[channel - 1]?.push(Buffer.from(data))
      const [stdout, stderr] = parts.map((p) => Buffer.concat(p).toString())
      return { stdout: stdout ?? '', stderr: stderr ?? '' }
    }
    async function feed(stdio: StdioConnection, input: string | undefined): Promise<void> {
      if (input === undefined) return
      await stdio.write(Buffer.from(input))
      stdio.closeStdin()
    }
    function check(outcome: Outcome, expected: Partial<Outcome>): void {
      for (const key of Object.keys(expected) as (keyof Outcome)[]) assert.equal(outcome[key], expected[key], key)
    }

    describe('a container', () => {
      for (const c of CASES) {
        test(c.name, async () => {
          const stdin = c.input !== undefined
          const handle = await driver.create(
            spec(['sh', '-c', c.script], { terminal: c.tty ?? false, stdin, stdinOnce: stdin && !c.tty }),
          )
          const stdio = handle.connect()
          await handle.start()
          const fed = feed(stdio, c.input)
          const output = await drain(stdio)
          const { exitCode } = await handle.exited
          await fed
          check({ ...output, exitCode }, c.expect)
        })
      }

      test('is killed by a signal', async () => {
        const handle = await sleeper()
        assert.equal(handle.signal(9), true)
        assert.equal((await handle.exited).exitCode, 137)
        assert.equal(handle.signal(9), false)
      })

      test('waits for its start, and starts once', async () => {
        const handle = await driver.create(spec(['sh', '-c', 'echo ran']))
        assert.ok(handle.pid > 0)
        const stdio = handle.connect()
        await handle.start()
        assert.equal((await drain(stdio)).stdout, 'ran\n')
        await handle.exited
        await assert.rejects(handle.start(), (e) => isKind(e, 'conflict') || e instanceof Error)
      })

      test('shows its output to several; stdin stays open without stdinOnce', async () => {
        const handle = await driver.create(spec(['cat'], { stdin: true }))
        await handle.start()
        for (const word of ['one\n', 'two\n']) {
          const [writer, reader] = [handle.connect(), handle.connect()]
          await writer.write(Buffer.from(word))
          for (const stdio of [writer, reader]) {
            for await (const { data } of stdio.output) {
              assert.equal(Buffer.from(data).toString(), word)
              break
            }
          }
          writer.closeStdin()
          writer.close()
          reader.close()
        }
      })

      test('is held back by a reader that does not read', async () => {
        const handle = await driver.create(spec(['sh', '-c', 'head -c 20000000 /dev/zero']))
        const stdio = handle.connect()
        await handle.start()
        const late = Symbol('late')
        const wait = new Promise((resolve) => setTimeout(resolve, 200, late))
        assert.equal(await Promise.race([handle.exited, wait]), late)
        assert.equal((await drain(stdio)).stdout.length, 20_000_000)
      })

      test('has a terminal that is resized', async () => {
        const handle = await driver.create(spec(['sh', '-c', 'read x; stty size'], { terminal: true, stdin: true }))
        const stdio = handle.connect()
        await handle.start()
        handle.resize(33, 101)
        // The shim takes the size from its control FIFO, the input from a socket: the one after the other.
        await new Promise((resolve) => setTimeout(resolve, 50))
        await stdio.write(Buffer.from('\n'))
        assert.match((await drain(stdio)).stdout, /33 101/)
      })

      test('is, with its sessions, a member of its group in the v2 hierarchy', async () => {
        const wanted = spec(['sleep', '1000'])
        const group = configuredGroup(wanted.config)
        const v2 = ['/sys/fs/cgroup', '/sys/fs/cgroup/unified'].find((dir) => existsSync(join(dir, 'cgroup.procs')))
        if (v2 === undefined) return
        // The cgroup service makes it before a container is created.
        mkdirSync(join(v2, group), { recursive: true })
        const handle = await driver.create(wanted)
        await handle.start()
        const process = { ...bundles.session(processSpec(['sleep', '1000']), rootfs, 'box') }
        const session = { id: newId(), container: handle, process, terminal: false, stdin: false, attach: false }
        const { id, pid } = await driver.exec(session)
        for (const member of [handle.pid, pid]) assert.equal(joinedV2Group(member), group)
        await driver.remove(handle.id)
        await driver.removeSession(id)
      })

      for (const [what, args, code] of [
        ['is missing', ['nope'], 127],
        ['is missing, with a path', ['/nope'], 127],
        ['cannot be executed', ['/etc/passwd'], 126],
      ] as const) {
        test(`is refused when its program ${what}, and leaves nothing`, async () => {
          await assert.rejects(driver.create(spec(args)), (error) => {
            assert.ok(isKind(error, 'invalid'), String(error))
            assert.equal(error.details?.['exitCode'], code)
            return true
          })
          assert.deepEqual((await driver.list()).containers, [])
        })
      }
    })

    describe('a session', () => {
      const exec = (container: ProcessHandle, args: readonly string[], more: object = {}): Promise<SessionHandle> => {
        const { tty, stdin, attach, ...rest } = { tty: false, stdin: false, attach: true, ...more }
        const process = bundles.session(processSpec(args, { tty, ...rest }), rootfs, 'box')
        return driver.exec({ id: newId(), container, process: { ...process }, terminal: tty, stdin, attach })
      }

      for (const c of CASES) {
        test(c.name, async () => {
          const container = await sleeper()
          const session = await exec(container, ['sh', '-c', c.script], {
            tty: c.tty ?? false,
            stdin: c.input !== undefined,
          })
          assert.ok(session.stdio)
          const fed = feed(session.stdio, c.tty ? undefined : c.input)
          if (c.tty && c.input !== undefined) await session.stdio.write(Buffer.from(c.input))
          const output = await drain(session.stdio)
          const { exitCode } = await session.exited
          await fed
          check({ ...output, exitCode }, c.expect)
          await driver.removeSession(session.id)
          assert.deepEqual((await driver.list()).sessions, [])
        })
      }

      const reread = async (id: string, ended: AbortSignal): Promise<string | undefined> => {
        const read = driver.sessionOutput(id)
        if (!read) return undefined
        let text = ''
        for await (const { channel, data } of read(ended, new AbortController().signal)) {
          text += `${channel}${Buffer.from(data).toString()}`
        }
        return text
      }

      test('its output can be read from the beginning, while it runs, after a restart, and when it has ended', async () => {
        const container = await sleeper()
        const session = await exec(container, ['sh', '-c', 'echo one; read go; echo two >&2'], { stdin: true })
        assert.ok(session.stdio)
        await session.stdio.output[Symbol.asyncIterator]().next()
        const over = new AbortController()
        const rest = reread(session.id, over.signal)
        await driver.close()
        driver = await start()
        assert.equal(await reread(session.id, AbortSignal.abort()), '1one\n')
        await session.stdio.write(Buffer.from('go\n'))
        await driver.recoverSession(session.id, session.state)?.exited
        over.abort()
        assert.equal(await rest, '1one\n2two\n')
        assert.equal(await reread(session.id, AbortSignal.abort()), '1one\n2two\n')
        await driver.removeSession(session.id)
        assert.equal(await reread(session.id, AbortSignal.abort()), undefined)
      })

      test('of output that is not kept from its beginning nothing is given', async () => {
        const session = await exec(await sleeper(), ['sh', '-c', 'yes 0123456789 | head -c 9000000'])
        assert.ok(session.stdio)
        assert.equal((await drain(session.stdio)).stdout.length, 9_000_000)
        await session.exited
        assert.equal(await reread(session.id, AbortSignal.abort()), undefined)
        await driver.removeSession(session.id)
      })

      test('runs detached', async () => {
        const session = await exec(await sleeper(), ['sh', '-c', 'exit 4'], { attach: false })
        assert.equal(session.stdio, undefined)
        assert.equal((await session.exited).exitCode, 4)
        await driver.removeSession(session.id)
      })

      test('is refused when its program is missing', async () => {
        const container = await sleeper()
        for (const [args, code] of [
          [['nope'], 127],
          [['/nope'], 127],
          [['/etc/passwd'], 126],
        ] as const) {
          await assert.rejects(exec(container, args), (error) => {
            assert.ok(isKind(error, 'invalid'), String(error))
            assert.equal(error.details?.['exitCode'], code)
            return true
          })
        }
        assert.deepEqual((await driver.list()).sessions, [])
      })

      test('outlives the driver, and ends with its container', async () => {
        const container = await sleeper()
        const [quick, slow] = [
          await exec(container, ['sh', '-c', 'sleep 0.1; exit 5']),
          await exec(container, ['sleep', '1000']),
        ]
        await driver.close()
        driver = await start()
        const [q, s] = [driver.recoverSession(quick.id, quick.state), driver.recoverSession(slow.id, slow.state)]
        assert.equal((await q?.exited)?.exitCode, 5)
        await driver.remove(container.id)
        assert.equal((await s?.exited)?.exitCode, 137)
        for (const each of [quick, slow]) await driver.removeSession(each.id)
      })
    })

    describe('recovery', () => {
      test('adopts what lives and knows what has ended', async () => {
        const living = await driver.create(spec(['cat'], { stdin: true }))
        await living.start()
        const ending = await driver.create(spec(['sh', '-c', 'sleep 0.2; exit 6']))
        await ending.start()
        const ended = await driver.create(spec(['sh', '-c', 'exit 5']))
        await ended.start()
        await ended.exited
        await driver.close()
        driver = await start()
        assert.equal((await driver.recover(ended.id, ended.state)?.exited)?.exitCode, 5)
        assert.equal((await driver.recover(ending.id, ending.state)?.exited)?.exitCode, 6)
        const again = driver.recover(living.id, living.state)
        assert.ok(again)
        assert.equal(again.pid, living.pid)
        const stdio = again.connect()
        await stdio.write(Buffer.from('still there\n'))
        for await (const { data } of stdio.output) {
          assert.equal(Buffer.from(data).toString(), 'still there\n')
          break
        }
        stdio.close()
        assert.equal(again.signal(9), true)
        assert.equal((await again.exited).exitCode, 137)
      })

      test('knows nothing of what is gone', async () => {
        const handle = await sleeper()
        await driver.remove(handle.id)
        await driver.remove(handle.id)
        await driver.close()
        driver = await start()
        assert.equal(driver.recover(handle.id, handle.state), undefined)
        assert.deepEqual((await driver.list()).containers, [])
      })

      test('removes by id what runs and what only waits', async () => {
        const [running, waiting] = [await sleeper(), await driver.create(spec(['true']))]
        await driver.close()
        driver = await start()
        const known = (await driver.list()).containers
        assert.deepEqual([...known].sort(), [running.id, waiting.id].sort())
        for (const id of known) await driver.remove(id)
        for (const { pid } of [running, waiting]) assert.equal(readdirSync('/proc').includes(String(pid)), false)
      })
    })
  })
}
