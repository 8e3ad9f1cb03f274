import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { after, before, describe, it } from 'node:test'
import { isKind } from '../../shared/errors/index.ts'
import { identify } from '../../shared/kernel/pidfd.ts'
import { CHANNEL } from '../../shared/streams/index.ts'
import {
  attachRequest,
  collect,
  logsRequest,
  newId,
  open,
  processSpec,
  runRequest,
  startTestBed,
  type Collected,
  type TestBed,
} from './testing.ts'

const root = process.getuid?.() === 0
type More = Parameters<typeof runRequest>[2]

describe('exec service', { skip: root ? false : 'needs root' }, () => {
  let bed: TestBed
  before(async () => {
    bed = await startTestBed()
  })
  after(() => bed.close())

  /** Runs a container to its end, attached. */
  async function run(args: readonly string[], more: More = {}): Promise<Collected & { exitCode: number; id: string }> {
    const request = runRequest(bed, args, more)
    const tty = request.process.tty
    const output = collect(open(await bed.call('process.attach', attachRequest(request.id, { tty }))))
    await bed.call('process.run', request)
    const fact = await bed.fact('exec.process.exited', request.id)
    return { ...(await output), exitCode: Number(fact['exitCode']), id: request.id }
  }
  const sh = (script: string, more: More = {}): ReturnType<typeof run> => run(['sh', '-c', script], more)
  const logs = async (id: string, more: object = {}): Promise<Collected> =>
    collect(open(await bed.call('process.logs', logsRequest(id, more))))
  const start = async (args: readonly string[], more: More = {}): Promise<string> => {
    const request = runRequest(bed, args, more)
    await bed.call('process.run', request)
    return request.id
  }
  const session = (container: string, args: readonly string[], more: object = {}): object => ({
    id: newId(),
    container,
    process: processSpec(args),
    stdin: false,
    stdout: true,
    stderr: true,
    detach: false,
    detachKeys: '',
    ...more,
  })

  it('gives stdout and stderr apart, and the exit code', async () => {
    const { stdout, stderr, exitCode } = await sh('echo out; echo err >&2; exit 7')
    assert.deepEqual({ stdout, stderr, exitCode }, { stdout: 'out\n', stderr: 'err\n', exitCode: 7 })
  })

  it('loses nothing that is written right before the end', async () => {
    for (let i = 0; i < 10; i++) {
      const { stdout } = await sh('head -c 300000 /dev/zero | tr "\\0" x; echo end')
      assert.equal(stdout.length, 300004)
    }
  })

  it('passes 50 MB through cat and back, with a log', { timeout: 60_000 }, async () => {
    const request = runRequest(bed, ['cat'], { stdin: true, stdinOnce: true })
    const stream = open(await bed.call('process.attach', attachRequest(request.id, { stdin: true })))
    const hash = createHash('md5')
    let size = 0
    const reading = (async () => {
      for await (const { data } of stream.frames) {
        hash.update(data)
        size += data.length
      }
    })()
    await bed.call('process.run', request)
    const sent = createHash('md5')
    for (let i = 0; i < 50; i++) {
      const block = Buffer.alloc(1_000_000, i)
      sent.update(block)
      await stream.send(CHANNEL.stdin, block)
    }
    await stream.sendEof(CHANNEL.stdin)
    await reading
    assert.equal(size, 50_000_000)
    assert.equal(hash.digest('hex'), sent.digest('hex'))
    assert.equal((await bed.fact('exec.process.exited', request.id))['exitCode'], 0)
  })

  it('holds the process back while a client does not read', async () => {
    const request = runRequest(bed, ['sh', '-c', 'head -c 30000000 /dev/zero; echo done >&2'])
    const reply = await bed.call('process.attach', attachRequest(request.id))
    await bed.call('process.run', request)
    const before = bed.facts.length
    await new Promise((resolve) => setTimeout(resolve, 300))
    assert.equal(bed.facts.length, before, 'the process ended although nobody read its output')
    const { stdout } = await collect(open(reply))
    assert.equal(stdout.length, 30_000_000)
  })

  it('shows the same output to several clients; one that watches does not close stdin', async () => {
    const request = runRequest(bed, ['cat'], { stdin: true, stdinOnce: true })
    const [feeder, watcher, leaver] = [
      open(await bed.call('process.attach', attachRequest(request.id, { stdin: true }))),
      open(await bed.call('process.attach', attachRequest(request.id))),
      open(await bed.call('process.attach', attachRequest(request.id))),
    ]
    await bed.call('process.run', request)
    const seen = collect(watcher)
    const fed = collect(feeder)
    leaver.end()
    leaver.fail(new Error('gone'))
    await new Promise((resolve) => setTimeout(resolve, 100))
    await feeder.send(CHANNEL.stdin, Buffer.from('ping\n'))
    await feeder.sendEof(CHANNEL.stdin)
    assert.equal((await fed).stdout, 'ping\n')
    assert.equal((await seen).stdout, 'ping\n')
  })

  it('keeps stdin open for the next client without stdinOnce', async () => {
    const id = await start(['cat'], { stdin: true })
    for (const word of ['one\n', 'two\n']) {
      const stream = open(await bed.call('process.attach', attachRequest(id, { stdin: true })))
      await stream.send(CHANNEL.stdin, Buffer.from(word))
      for await (const { data } of stream.frames) {
        assert.equal(Buffer.from(data).toString(), word)
        break
      }
      await stream.sendEof(CHANNEL.stdin)
      for await (const _ of stream.frames);
    }
    assert.equal((await bed.call('process.state', { id }))['status'], 'running')
    await bed.call('process.delete', { id })
  })

  it('runs on a terminal with its size, and detaches by keys', async () => {
    const request = runRequest(bed, ['sh', '-c', 'tty; stty size; read x; stty size; echo got-$x'], {
      stdin: true,
      stdinOnce: true,
      process: { tty: true, consoleSize: [33, 101] },
    })
    const first = open(await bed.call('process.attach', attachRequest(request.id, { stdin: true, tty: true })))
    await bed.call('process.run', request)
    let text = ''
    for await (const { data } of first.frames) {
      text += Buffer.from(data).toString()
      if (text.includes('33 101')) break
    }
    assert.match(text, /\/dev\/(pts|console)/)
    await first.send(CHANNEL.stdin, Buffer.from([16, 17]))
    for await (const _ of first.frames);
    await bed.call('process.resize', { id: request.id, rows: 44, columns: 55 })
    const second = open(await bed.call('process.attach', attachRequest(request.id, { stdin: true, tty: true })))
    const rest = collect(second)
    await second.send(CHANNEL.stdin, Buffer.from('hello\n'))
    const { stdout } = await rest
    assert.match(stdout, /44 55/)
    assert.match(stdout, /got-hello/)
  })

  it('a session whose stream broke gives the rest of its output, also when it has ended meanwhile', async () => {
    const id = await start(['sleep', '1000'])
    const request = session(id, ['sh', '-c', 'echo one; read go; echo two; echo three >&2'], { stdin: true }) as {
      id: string
    }
    const has = { stdout: 4, stderr: 0 }
    const attach = { ...{ id: request.id, tty: false, stdin: true, stdout: true, stderr: true }, detachKeys: '', has }
    const first = open(await bed.call('session.start', request))
    for await (const { data } of first.frames) {
      assert.equal(Buffer.from(data).toString(), 'one\n')
      break
    }
    first.fail(undefined)
    const second = open(await bed.call('session.attach', attach))
    await second.send(CHANNEL.stdin, Buffer.from('go\n'))
    const rest = { stdout: 'two\n', stderr: 'three\n' }
    assert.deepEqual(await collect(second), rest)
    assert.deepEqual(await collect(open(await bed.call('session.attach', attach))), rest)
    const outOnly = { ...attach, stderr: false, has: { stdout: 8, stderr: 0 } }
    assert.deepEqual(await collect(open(await bed.call('session.attach', outOnly))), { stdout: '', stderr: '' })
  })

  it('runs sessions: output, exit code, user, workdir, environment, stdin, terminal', async () => {
    const id = await start(['sleep', '1000'])
    const exec = async (args: string[], more: object = {}): Promise<Collected & { exitCode: unknown }> => {
      const request = session(id, args, more) as { id: string }
      const output = await collect(open(await bed.call('session.start', request)))
      const fact = await bed.fact('exec.session.exited', request.id)
      assert.equal((await bed.call('session.state', { id: request.id }))['exitCode'], fact['exitCode'])
      return { ...output, exitCode: fact['exitCode'] }
    }
    assert.deepEqual(await exec(['sh', '-c', 'echo o; echo e >&2; exit 9']), {
      stdout: 'o\n',
      stderr: 'e\n',
      exitCode: 9,
    })
    const spec = processSpec(['sh', '-c', 'echo $Z $(pwd) $(whoami) $HOME $HOSTNAME'], {
      env: ['PATH=/bin', 'Z=1'],
      cwd: '/tmp',
      user: 'web',
    })
    assert.equal((await exec([], { process: spec })).stdout, '1 /tmp web /www box\n')
    const tty = processSpec(['tty'], { tty: true })
    assert.match((await exec([], { process: tty })).stdout, /\/dev\/pts/)
    const request = session(id, ['wc', '-c'], { stdin: true })
    const stream = open(await bed.call('session.start', request))
    const output = collect(stream)
    await stream.send(CHANNEL.stdin, Buffer.from('abc'))
    await stream.sendEof(CHANNEL.stdin)
    assert.equal((await output).stdout.trim(), '3')
    for (const [args, code] of [
      [['/nope'], 127],
      [['nope'], 127],
      [['/etc/passwd'], 126],
    ] as const) {
      await assert.rejects(bed.call('session.start', session(id, args)), (error) => {
        assert.ok(isKind(error, 'invalid'))
        assert.match(
          error.message,
          /^OCI runtime exec failed: (exec failed|crun): unable to start container process: exec: /,
        )
        assert.equal(error.details?.['exitCode'], code)
        return true
      })
    }
    await bed.call('process.signal', { id, signal: 9 })
    assert.equal((await bed.fact('exec.process.exited', id))['exitCode'], 137)
    await assert.rejects(bed.call('session.start', session(id, ['true'])), /is not running/)
  })

  it('answers a repeated session with the same stream', async () => {
    const id = await start(['sleep', '1000'])
    const request = session(id, ['echo', 'once'])
    const [first, second] = await Promise.all([bed.call('session.start', request), bed.call('session.start', request)])
    assert.deepEqual(second, first)
    assert.equal((await collect(open(first))).stdout, 'once\n')
    await bed.call('process.delete', { id })
  })

  it('says 127 and 126 where that is the reason, and leaves nothing', async () => {
    for (const [args, code, words] of [
      [['/nope'], 127, /no such file or directory/],
      [['nope'], 127, /executable file not found in \$PATH/],
      [['/etc/passwd'], 126, /permission denied/],
    ] as const) {
      const request = runRequest(bed, args)
      await assert.rejects(bed.call('process.run', request), (error) => {
        assert.ok(isKind(error, 'invalid'), String(error))
        assert.match(
          error.message,
          /^failed to create task for container: failed to create shim task: OCI runtime create/,
        )
        assert.match(error.message, words)
        assert.equal(error.details?.['exitCode'], code)
        return true
      })
      await assert.rejects(bed.call('process.state', { id: request.id }), (error) => isKind(error, 'not-found'))
    }
    await assert.rejects(
      bed.call('process.run', runRequest(bed, ['true'], { process: { user: 'nobody-here' } })),
      /unable to find user nobody-here: no matching entries in passwd file/,
    )
    await assert.rejects(
      bed.call('process.run', runRequest(bed, ['true'], { runtime: 'nope' })),
      /unknown or invalid runtime name: nope/,
    )
    await assert.rejects(
      bed.call('process.run', runRequest(bed, ['true'], { log: { driver: 'nope', options: {} } })),
      /no log driver named 'nope' is registered/,
    )
  })

  it('is a container as Docker makes it', async () => {
    const { stdout } = await sh(
      'grep -E "^(CapEff|CapInh|Seccomp:|SigIgn|SigBlk|NoNewPrivs)" /proc/self/status; echo pid $$; hostname; id -G',
    )
    assert.match(stdout, /CapEff:\t00000000a80425fb/)
    assert.match(stdout, /CapInh:\t0000000000000000/)
    assert.match(stdout, /Seccomp:\t2/)
    assert.match(stdout, /SigIgn:\t0000000000000000/)
    assert.match(stdout, /SigBlk:\t0000000000000000/)
    assert.match(stdout, /NoNewPrivs:\t0/)
    assert.match(stdout, /pid 1\nbox\n0\n/)
    const dropped = await sh('grep -E "CapEff|Seccomp:|NoNewPrivs" /proc/self/status', {
      seccomp: 'unconfined',
      process: { capDrop: ['ALL'], noNewPrivileges: true },
    })
    assert.match(dropped.stdout, /CapEff:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t0/)
    const all = await sh('grep CapEff /proc/self/status; ls /dev | wc -l; touch /sys/fs/cgroup 2>&1', {
      process: { privileged: true },
    })
    const bounding = /^CapBnd:\s*(\w+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]
    assert.match(all.stdout, new RegExp(`CapEff:\t${bounding ?? '?'}`))
    const groups = await sh('id -u; id -G; echo $HOME', { process: { user: 'web', groupAdd: ['77'] } })
    assert.equal(groups.stdout, '1000\n1000 77 1234\n/www\n')
  })

  it('masks and protects paths, sets sysctls, ulimits, shm, read-only root, working directory', async () => {
    const masked = await sh(
      'cat /proc/kcore | head -c 1 | wc -c; echo 1 > /proc/sys/kernel/domainname; touch /sys/x; mount -t tmpfs x /not-there; unshare -U true; unshare -m true',
    )
    assert.match(masked.stdout, /^0\n/)
    assert.match(masked.stderr, /[Rr]ead-only file system/)
    assert.equal(masked.stderr.match(/permission denied|not permitted/gi)?.length, 3)
    const set = await sh(
      'cat /proc/sys/net/ipv4/ip_default_ttl; ulimit -n; df -h /dev/shm | tail -1 | awk "{print \\$2}"; pwd; touch /x',
      {
        sysctls: { 'net.ipv4.ip_default_ttl': '7' },
        rlimits: [{ type: 'nofile', soft: 123, hard: 123 }],
        shmSize: 32 << 20,
        readonlyRootfs: true,
      },
    )
    assert.equal(set.stdout, '7\n123\n32.0M\n/\n')
    assert.match(set.stderr, /Read-only file system/)
    assert.equal((await sh('grep -c " /dev/shm " /proc/mounts', { shmMounted: false })).stdout, '0\n')
    assert.equal((await sh('pwd', { process: { cwd: '/made/here' } })).stdout, '/made/here\n')
    assert.equal((await sh('cat /proc/sys/kernel/domainname', { domainname: 'lan.test' })).stdout, 'lan.test\n')
    const device = await sh('ls -l /dev/mine; : < /dev/mine && echo readable; : > /dev/mine', {
      devices: [{ pathOnHost: '/dev/fuse', pathInContainer: '/dev/mine', permissions: 'r' }],
    })
    assert.match(device.stdout, /crw.* 10, *229 .*mine/)
    assert.match(device.stdout, /readable/)
    assert.match(device.stderr, /not permitted/)
  })

  it('does not wait for another run when the one that was asked for has ended', async () => {
    const { id } = await sh('true')
    const missed = await collect(open(await bed.call('process.attach', attachRequest(id, { instance: 'one' }))))
    assert.deepEqual(missed, { stdout: '', stderr: '' })
    const next = collect(open(await bed.call('process.attach', attachRequest(id))))
    await bed.call('process.delete', { id })
    await bed.call('process.run', runRequest(bed, ['echo', 'again'], { id, instance: 'two' }))
    assert.equal((await next).stdout, 'again\n')
  })

  it('ends a process whose shim was killed', async () => {
    const id = await start(['sleep', '1000'])
    const { pid } = await bed.call<{ pid: number }>('process.state', { id })
    process.kill(Number(readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ')[1]), 'SIGKILL')
    assert.equal((await bed.fact('exec.process.exited', id))['exitCode'], 137)
    while (identify(pid)) await new Promise((resolve) => setTimeout(resolve, 5))
    await bed.call('process.delete', { id })
  })

  it('shares shm with another container', async () => {
    const one = runRequest(bed, ['sh', '-c', 'echo s > /dev/shm/f; sleep 1000'], { shmShareable: true })
    const { shmPath, pid } = await bed.call<{ shmPath: string; pid: number }>('process.run', one)
    const other = await sh('until cat /dev/shm/f; do sleep 0.02; done 2>/dev/null', {
      shmPath,
      namespaces: { ...one.namespaces, ipc: { kind: 'path', path: `/proc/${pid}/ns/ipc` } },
    })
    assert.equal(other.stdout, 's\n')
    await bed.call('process.delete', { id: one.id })
    assert.equal(existsSync(shmPath), false)
  })

  it('reaps with an init', async () => {
    const { stdout } = await sh('cat /proc/1/cmdline | tr "\\0" " "', { init: true })
    assert.match(stdout, /^\/sbin\/docker-init -- sh -c/)
  })

  it('keeps a log: tail, timestamps, streams, since, long lines', async () => {
    const { id } = await sh(
      'for i in 1 2 3 4 5; do echo line-$i; done; echo oops >&2; head -c 100000 /dev/zero | tr "\\0" x; echo',
    )
    const all = await logs(id)
    assert.equal(all.stderr, 'oops\n')
    assert.equal(all.stdout.length, 35 + 100_001)
    assert.equal((await logs(id, { tail: 1 })).stdout.length, 100_001)
    assert.equal((await logs(id, { tail: 2 })).stderr, 'oops\n')
    assert.match((await logs(id, { tail: 3, timestamps: true })).stdout, /^\d{4}-\d\d-\d\dT[0-9:.]{18}Z line-5\n/)
    assert.equal((await logs(id, { tail: 2, stderr: false, details: 'a=b' })).stdout.slice(0, 11), 'a=b line-5\n')
    assert.equal((await logs(id, { since: Date.now() / 1000 + 10 })).stdout, '')
    assert.equal((await logs(id, { until: Date.now() / 1000 - 1000 })).stdout, '')
    assert.equal((await logs(id, { tail: 0 })).stdout, '')
  })

  it('follows a log until the process ends', async () => {
    const id = await start(['sh', '-c', 'for i in 1 2 3 4 5 6 7 8 9 10; do echo line-$i; sleep 0.05; done'])
    const { stdout } = await logs(id, { follow: true, tail: 0 })
    const lines = stdout.trim().split('\n')
    assert.equal(lines.at(-1), 'line-10')
    assert.ok(lines.length >= 5, stdout)
  })

  it('bounds a log by rotating it, and loses nothing of its end', { timeout: 60_000 }, async () => {
    const options = { 'max-size': '200k', 'max-file': '2' }
    const script = 'seq 1 200000; sleep 2; seq 200001 220000; sleep 2; echo last'
    const { id } = await sh(script, { log: { driver: 'json-file', options } })
    const { stdout } = await logs(id)
    const numbers = stdout.trim().split('\n')
    assert.equal(numbers.pop(), 'last')
    assert.ok(stdout.length > 1000 && stdout.length < 900_000, `${stdout.length}`)
    const first = Number(numbers[0])
    assert.deepEqual(
      numbers,
      Array.from(numbers, (_, i) => String(first + i)),
    )
    assert.equal(numbers.at(-1), '220000')
  })

  it('cannot read what it does not keep', async () => {
    const { id } = await sh('echo x', { log: { driver: 'none', options: {} } })
    await assert.rejects(
      bed.call('process.logs', logsRequest(id, { log: { driver: 'none', options: {} } })),
      (error) =>
        isKind(error, 'not-implemented') && /configured logging driver does not support reading/.test(error.message),
    )
  })

  it('survives its own death: adopts what runs, tells what ended meanwhile', async () => {
    const living = await start(['sh', '-c', 'while :; do echo tick; sleep 0.05; done'])
    const dying = await start(['sh', '-c', 'sleep 0.2; exit 6'])
    const told = bed.facts.length
    await bed.restart()
    assert.equal((await bed.call('process.state', { id: living }))['status'], 'running')
    assert.equal((await bed.fact('exec.process.exited', dying))['exitCode'], 6)
    assert.equal(bed.facts.slice(told).filter((f) => f.fact['id'] === dying).length, 1)
    const stream = open(await bed.call('process.attach', attachRequest(living)))
    for await (const { data } of stream.frames) {
      assert.match(Buffer.from(data).toString(), /tick/)
      break
    }
    await bed.call('process.signal', { id: living, signal: 15 })
    await bed.call('process.signal', { id: living, signal: 9 })
    assert.equal((await bed.fact('exec.process.exited', living))['exitCode'], 137)
    assert.deepEqual((await bed.call<string[]>('process.reconcile', { keep: [] })) !== undefined, true)
    assert.deepEqual(await bed.call('process.list'), [])
  })

  it('answers a repeated run with what is there', async () => {
    const request = runRequest(bed, ['sleep', '1000'])
    const first = await bed.call('process.run', request)
    assert.deepEqual(await bed.call('process.run', request), first)
    await assert.rejects(bed.call('process.run', { ...request, instance: 'two' }), (e) => isKind(e, 'conflict'))
    await bed.call('process.delete', { id: request.id })
    await bed.call('process.delete', { id: request.id })
  })

  it('shows processes', async () => {
    const id = await start(['sleep', '1000'])
    const { pid } = await bed.call<{ pid: number }>('process.state', { id })
    const shown = await bed.call<{ Titles: string[]; Processes: string[][] }>('process.top', {
      pids: [pid],
      psArgs: '',
    })
    assert.deepEqual([shown.Titles.at(-1), shown.Processes[0]?.at(-1)], ['CMD', 'sleep 1000'])
    await assert.rejects(
      bed.call('process.top', { pids: [pid], psArgs: '-o comm' }),
      /Couldn't find PID field in ps output/,
    )
    await bed.call('process.delete', { id })
  })
})
