import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { busyboxArchive, IMAGE } from '../support/busybox.ts'
import type { CommandOptions } from '../support/command.ts'
import { startEngine, type TestEngine } from '../support/engine.ts'
import { until } from '../support/until.ts'

/** The unchanged docker command against an engine of its own. */
describe('docker CLI', () => {
  let engine: TestEngine
  let directory: string

  before(async () => {
    engine = await startEngine()
    directory = mkdtempSync(join(tmpdir(), 'gantry-cli-'))
  })
  after(async () => {
    rmSync(directory, { recursive: true, force: true })
    await engine.stop()
  })

  /** Standard output, trimmed, of a command that must succeed. Arguments are parted by blanks; a list is taken as it is. */
  const ok = async (args: string | readonly string[], options?: CommandOptions): Promise<string> => {
    const result = await engine.docker(split(args), options)
    assert.equal(result.code, 0, `docker ${split(args).join(' ')}: ${result.code}\n${result.stdout}${result.stderr}`)
    return result.stdout.trim()
  }
  const split = (args: string | readonly string[]): readonly string[] =>
    typeof args === 'string' ? args.split(' ') : args
  /** Runs a shell line in a container that is removed. */
  const run = (options: string, line: string): Promise<string> =>
    ok(['run', '--rm', ...options.split(' ').filter(Boolean), IMAGE, 'sh', '-c', line])
  /** The command fails with this exit code, and says this. */
  const fails = async (args: string | readonly string[], code: number, message: RegExp): Promise<void> => {
    const result = await engine.docker(split(args))
    assert.equal(result.code, code, result.stdout + result.stderr)
    assert.match(result.stderr, message)
  }
  const detached = (name: string, ...command: string[]): Promise<string> =>
    ok(['run', '-d', '--name', name, IMAGE, ...command])
  const get = async (url: string): Promise<string> => (await (await fetch(url)).text()).trim()
  /** A container that is removed when the test is over, however it ends. */
  const withContainer = async (name: string, command: string[], work: () => Promise<void>): Promise<void> => {
    await detached(name, ...command)
    try {
      await work()
    } finally {
      await ok(`rm -f ${name}`)
    }
  }

  describe('system', () => {
    test('version', async () => assert.match(await ok('version'), /Server:[\s\S]*Version:/))
    test('info names the drivers', async () => {
      const text = await ok('info')
      assert.match(text, /Storage Driver: \w/)
      assert.match(text, /Cgroup Driver: \w/)
    })
  })

  describe('run', () => {
    test('prints', async () => assert.equal(await run('', 'echo hi'), 'hi'))
    test('passes the exit code on', () => fails(['run', '--rm', IMAGE, 'sh', '-c', 'exit 7'], 7, /^$/))
    test('keeps stdout and stderr apart', async () => {
      const { stdout, stderr } = await engine.docker(['run', '--rm', IMAGE, 'sh', '-c', 'echo out; echo err >&2'])
      assert.deepEqual([stdout, stderr], ['out\n', 'err\n'])
    })
    test('-i feeds stdin', async () => {
      assert.equal(await ok(['run', '--rm', '-i', IMAGE, 'wc', '-c'], { input: '12345' }), '5')
    })
    test('-i moves a megabyte both ways', async () => {
      const input = 'x'.repeat(1_000_000)
      const { stdout } = await engine.docker(['run', '--rm', '-i', IMAGE, 'cat'], { input })
      assert.equal(stdout.length, input.length)
    })
    test('-t gives a terminal', async () => {
      // The client wants a terminal of its own for -t with stdin, none without.
      assert.match(await ok(['run', '--rm', '-t', IMAGE, 'tty']), /^\/dev\/(pts\/\d+|console)/)
    })
    test('pid 1 in its own pid namespace', async () => assert.equal(await run('', 'echo $$'), '1'))
    test('-e, -w, -u', async () => {
      assert.equal(await run('-e V=x -w /tmp -u web', 'echo $(pwd) $(id -u) $V'), '/tmp 1000 x')
    })
    test('--hostname', async () => assert.equal(await run('--hostname box', 'hostname'), 'box'))
    test('--entrypoint', async () => {
      assert.equal(await ok(['run', '--rm', '--entrypoint', 'echo', IMAGE, 'a', 'b']), 'a b')
    })
    test('-v binds a folder, and :ro means it', async () => {
      writeFileSync(join(directory, 'file'), 'data')
      assert.equal(await run(`-v ${directory}:/mnt:ro`, 'cat /mnt/file'), 'data')
      await fails(['run', '--rm', '-v', `${directory}:/mnt:ro`, IMAGE, 'touch', '/mnt/x'], 1, /Read-only/)
    })
    test('--label is found by ps --filter', async () => {
      await ok(['create', '--name', 'labelled', '--label', 'colour=blue', IMAGE, 'true'])
      assert.equal(await ok('ps -a --filter label=colour=blue --format {{.Names}}'), 'labelled')
      await ok('rm labelled')
    })
    test('--rm leaves nothing', async () => {
      await run('--name gone', 'true')
      assert.equal(await ok('ps -a --filter name=gone -q'), '')
    })
    test('a command that is not there is 127', () =>
      fails(['run', '--rm', IMAGE, '/nope'], 127, /no such file|not found/))
    test('a command that is no program is 126', () => {
      return fails(['run', '--rm', IMAGE, '/etc/passwd'], 126, /permission denied/i)
    })
    test('an unknown image is named', () => {
      return fails(['run', '--rm', '--pull', 'never', 'nope/nope', 'true'], 125, /nope\/nope/)
    })
  })

  describe('limits', () => {
    const either = (v1: string, v2: string): string =>
      `cat /sys/fs/cgroup/${v1} 2>/dev/null || cat /sys/fs/cgroup/${v2}`
    test('-m', async () => {
      assert.equal(await run('-m 64m', either('memory/memory.limit_in_bytes', 'memory.max')), '67108864')
    })
    test('--cpus', async () =>
      assert.match(await run('--cpus 0.5', either('cpu/cpu.cfs_quota_us', 'cpu.max')), /^50000/))
    test('memory and swap hold once the process runs, whatever the runtime writes as it starts it', async () => {
      const runtimes = JSON.parse(await ok(['info', '--format', '{{json .Runtimes}}'])) as Record<string, unknown>
      for (const runtime of Object.keys(runtimes)) {
        const swap = await run(
          `--runtime ${runtime} -m 64m --memory-swap 96m`,
          either('memory/memory.memsw.limit_in_bytes', 'memory.swap.max'),
        )
        // v2 has a limit of swap alone.
        assert.ok([96 << 20, 32 << 20].includes(Number(swap)), `${runtime}: ${swap}`)
      }
    })
    test('--pids-limit', async () =>
      assert.equal(await run('--pids-limit 33', either('pids/pids.max', 'pids.max')), '33'))
    test('over its memory limit a container is killed, and inspect says so', async () => {
      await engine.docker(['run', '--name', 'oom', '-m', '20m', '--memory-swap', '20m', IMAGE, 'tail', '/dev/zero'])
      assert.equal(await ok('inspect -f {{.State.OOMKilled}},{{.State.ExitCode}} oom'), 'true,137')
      await ok('rm oom')
    })
  })

  describe('network', () => {
    test('bridge: an address and a default route', async () => {
      assert.match(await run('', 'ip -4 addr show eth0; ip route'), /inet 10\.[\s\S]*default via 10\./)
    })
    test('--net host', async () => {
      assert.equal(await run('--net host', 'readlink /proc/self/ns/net'), readlinkSync('/proc/self/ns/net'))
    })
    test('--net none', async () => assert.equal(await run('--net none', 'ip -o link | wc -l'), '1'))
    test('--net container:NAME shares the namespace', async () => {
      await withContainer('web', ['httpd', '-f', '-p', '80', '-h', '/www'], async () => {
        const page = await until('the page', 5000, () => run('--net container:web', 'wget -qO- http://127.0.0.1/'))
        assert.equal(page, 'hello-from-httpd')
      })
    })
    test('-p publishes; port and inspect tell; a second taker is refused', async () => {
      await ok(['run', '-d', '--name', 'pub', '-p', '127.0.0.1:0:80', IMAGE, 'httpd', '-f', '-p', '80', '-h', '/www'])
      try {
        const address = await ok('port pub 80')
        assert.match(address, /^127\.0\.0\.1:\d+$/)
        assert.equal(await until('the page', 5000, () => get(`http://${address}/`)), 'hello-from-httpd')
        await fails(['run', '--rm', '-p', `${address}:80`, IMAGE, 'true'], 125, /port is already allocated|in use/)
      } finally {
        await ok('rm -f pub')
      }
    })
  })

  describe('life', () => {
    test('create, start, wait, logs, rm', async () => {
      const id = await ok(['create', '--name', 'life', IMAGE, 'sh', '-c', 'echo lived; exit 4'])
      assert.match(id, /^[0-9a-f]{64}$/)
      assert.equal(await ok('inspect -f {{.State.Status}} life'), 'created')
      await ok('start life')
      assert.equal(await ok('wait life'), '4')
      assert.equal(await ok('logs life'), 'lived')
      assert.match(await ok('ps -a --filter name=life --format {{.Status}}'), /^Exited \(4\)/)
      await ok('rm life')
      await fails('inspect life', 1, /no such/i)
    })
    test('start -a attaches and takes over the exit code', async () => {
      await ok(['create', '--name', 'att', IMAGE, 'sh', '-c', 'echo attached; exit 3'])
      const result = await engine.docker(['start', '-a', 'att'])
      assert.deepEqual([result.code, result.stdout], [3, 'attached\n'])
      await ok('rm att')
    })
    test('stop obeys the signal and keeps the last words; start runs again', async () => {
      const script = 'trap "echo bye; exit 3" TERM; echo started; while :; do sleep 0.05; done'
      await withContainer('stops', ['sh', '-c', script], async () => {
        await until('its first word', 5000, async () => (await ok('logs stops')).includes('started'))
        await ok('stop stops')
        assert.equal(await ok('inspect -f {{.State.Status}},{{.State.ExitCode}} stops'), 'exited,3')
        assert.match(await ok('logs stops'), /bye$/)
        await ok('start stops')
        assert.equal(await ok('inspect -f {{.State.Running}} stops'), 'true')
      })
    })
    test('stop -t kills what does not listen', async () => {
      await withContainer('deaf', ['sh', '-c', 'trap "" TERM; while :; do sleep 0.1; done'], async () => {
        await ok('stop -t 1 deaf')
        assert.equal(await ok('inspect -f {{.State.ExitCode}} deaf'), '137')
      })
    })
    test('restart gives it a new process', async () => {
      await withContainer('again', ['sleep', '100'], async () => {
        const pid = await ok('inspect -f {{.State.Pid}} again')
        await ok('restart -t 0 again')
        const now = await ok('inspect -f {{.State.Pid}},{{.State.Running}} again')
        assert.notEqual(now, `${pid},true`)
        assert.match(now, /,true$/)
      })
    })
    test('kill, kill -s', async () => {
      await withContainer('victim', ['sleep', '100'], async () => {
        await ok('kill victim')
        assert.equal(await ok('wait victim'), '137')
      })
      await withContainer(
        'handler',
        ['sh', '-c', 'trap "exit 12" USR1; echo up; while :; do sleep 0.05; done'],
        async () => {
          await until('its trap', 5000, async () => (await ok('logs handler')).includes('up'))
          await ok('kill -s USR1 handler')
          assert.equal(await ok('wait handler'), '12')
        },
      )
    })
    test('pause and unpause', async () => {
      await withContainer('frozen', ['sleep', '100'], async () => {
        await ok('pause frozen')
        assert.equal(await ok('inspect -f {{.State.Status}} frozen'), 'paused')
        await fails('exec frozen true', 1, /paused/)
        await ok('unpause frozen')
        assert.equal(await ok('inspect -f {{.State.Status}} frozen'), 'running')
      })
    })
    test('a running container is not removed without force', async () => {
      await withContainer('busy', ['sleep', '100'], () => fails('rm busy', 1, /running|stop the container/))
    })
    test('a taken name is refused, naming the holder', async () => {
      await withContainer('taken', ['sleep', '100'], () => {
        return fails(['create', '--name', 'taken', IMAGE], 1, /already in use by container/)
      })
    })
  })

  describe('into a running container', () => {
    before(() => detached('host', 'sh', '-c', 'echo one; echo two >&2; exec sleep 1000'))
    after(() => ok('rm -f host'))

    test('exec: output, user, folder, environment, exit code', async () => {
      assert.equal(await ok('exec -u web host whoami'), 'web')
      assert.equal(await ok(['exec', '-w', '/tmp', '-e', 'V=y', 'host', 'sh', '-c', 'echo $(pwd) $V']), '/tmp y')
      assert.equal((await engine.docker(['exec', 'host', 'sh', '-c', 'exit 9'])).code, 9)
      assert.equal(await ok(['exec', '-i', 'host', 'cat'], { input: 'in and out' }), 'in and out')
    })
    test('exec -d goes on by itself', async () => {
      await ok(['exec', '-d', 'host', 'sh', '-c', 'echo made > /tmp/made'])
      assert.equal(await until('the file', 5000, () => ok('exec host cat /tmp/made')), 'made')
    })
    test('exec of a command that is not there', async () => {
      // The stream is open by then: the message comes as output, as it does from Docker.
      const result = await engine.docker(['exec', 'host', '/nope'])
      assert.equal(result.code, 127)
      assert.match(result.stdout + result.stderr, /no such file|not found/)
    })
    test('logs: streams apart, --tail, --since, -t', async () => {
      await until('the log', 5000, async () => (await ok('logs host')) === 'one')
      const { stdout, stderr } = await engine.docker(['logs', 'host'])
      assert.deepEqual([stdout, stderr], ['one\n', 'two\n'])
      const tail = await engine.docker(['logs', '--tail', '1', 'host'])
      assert.equal(tail.stdout + tail.stderr, 'two\n')
      assert.match(await ok('logs -t host'), /^\d{4}-\d\d-\d\dT\S+Z one$/)
      assert.equal(await ok(['logs', '--since', new Date(Date.now() + 1000).toISOString(), 'host']), '')
    })
    test('top', async () => assert.match(await ok('top host'), /PID[\s\S]*sleep 1000/))
    test('stats', async () => {
      // The kernel counts what an exec left until init, whose child it then is, has collected it.
      const format = '{{.Name}};{{.MemUsage}};{{.PIDs}}'
      await until('one process', 15_000, async () => {
        const shown = await ok(`stats --no-stream --format ${format} host`)
        assert.match(shown, /^host;[\d.]+\w+ \/ .*;\d+$/)
        return shown.endsWith(';1')
      })
    })
    test('ps and inspect', async () => {
      assert.match(await ok('ps'), new RegExp(`${IMAGE} .*Up .*host$`, 'm'))
      const [info] = JSON.parse(await ok('inspect host')) as { Config: { Image: string }; State: { Pid: number } }[]
      assert.equal(info?.Config.Image, IMAGE)
      assert.match(readFileSync(`/proc/${info?.State.Pid}/cmdline`, 'utf8'), /sleep/)
    })
  })

  test('attach follows, and detaching leaves it running', async () => {
    await withContainer('talks', ['sh', '-c', 'while :; do echo tick; sleep 0.1; done'], async () => {
      const attached = spawn('docker', ['attach', '--no-stdin', 'talks'], { env: engine.env })
      try {
        const first = await new Promise<string>((resolve, reject) => {
          attached.stdout.once('data', (data: Buffer) => resolve(data.toString()))
          attached.once('error', reject).once('exit', (code) => reject(new Error(`attach ended: ${code}`)))
        })
        assert.match(first, /tick/)
      } finally {
        attached.kill('SIGKILL')
      }
      assert.equal(await ok('inspect -f {{.State.Running}} talks'), 'true')
    })
  })

  test('start -ai feeds stdin', async () => {
    await ok(['create', '-i', '--name', 'ear', IMAGE, 'sh', '-c', 'read line; echo heard $line'])
    assert.equal(await ok('start -ai ear', { input: 'words\n' }), 'heard words')
    await ok('rm -f ear')
  })

  test('events tell the story, live and afterwards', async () => {
    const since = String(Date.now() / 1000)
    const live = spawn('docker', ['events', '--filter', 'container=story', '--format', '{{.Action}}'], {
      env: engine.env,
    })
    let heard = ''
    live.stdout.on('data', (data: Buffer) => (heard += data.toString()))
    try {
      // A subscriber hears what comes after it: wait for its first word.
      await until('the first event', 10_000, async () => {
        if (heard === '') await ok(['run', '--rm', '--name', 'story', IMAGE, 'true'])
        return heard !== ''
      })
      await until('the last event', 5000, () => heard.includes('destroy'))
    } finally {
      live.kill('SIGKILL')
    }
    const story = await ok([
      'events',
      '--since',
      since,
      '--until',
      String(Date.now() / 1000),
      '--filter',
      'container=story',
      '--format',
      '{{.Action}}',
    ])
    assert.match(story, /create\n(attach\n)?(network:? ?\w*\n)*start\n(.*\n)*die\n(.*\n)*destroy/)
  })

  describe('images', () => {
    test('tag, images, rmi', async () => {
      await ok(`tag ${IMAGE} other/name:v1`)
      assert.match(await ok('images other/name'), /other\/name +v1/)
      assert.match(await ok('rmi other/name:v1'), /Untagged: other\/name:v1/)
      assert.equal(await ok('images -q other/name'), '')
    })
    test('inspect shows the configuration', async () => {
      assert.equal(await ok(['image', 'inspect', '-f', '{{json .Config.Cmd}}', IMAGE]), '["sh"]')
    })
    test('save and load', async () => {
      const archive = join(directory, 'image.tar')
      await ok(`tag ${IMAGE} saved/image:v2`)
      await ok(`save -o ${archive} saved/image:v2`)
      await ok('rmi saved/image:v2')
      assert.match(await ok(`load -i ${archive}`), /Loaded image: saved\/image:v2/)
      assert.equal(await ok('run --rm saved/image:v2 echo loaded'), 'loaded')
      await ok('rmi saved/image:v2')
    })
    test('import makes an image of one layer', async () => {
      const archive = join(directory, 'root.tar')
      writeFileSync(archive, await busyboxArchive())
      await ok(['import', '-c', 'CMD ["echo","imported"]', '-c', 'ENV PATH=/bin', archive, 'imported/image'])
      assert.equal(await ok('run --rm imported/image'), 'imported')
      await ok('rmi imported/image')
    })
    test('an image in use is not removed', async () => {
      await ok(`tag ${IMAGE} used/image`)
      await ok(['create', '--name', 'user', 'used/image'])
      await ok('rmi used/image') // another name is left
      await fails(`rmi ${IMAGE}`, 1, /is using its referenced image/)
      await ok('rm user')
    })
  })

  test('nothing is left in the kernel', async () => {
    await engine.removeContainers()
    assert.deepEqual(await engine.leaks(), [])
  })
})
