import assert from 'node:assert/strict'
import { once } from 'node:events'
import { PassThrough, type Duplex } from 'node:stream'
import { text } from 'node:stream/consumers'
import { after, before, describe, test } from 'node:test'
import Docker from 'dockerode'
import { IMAGE } from '../support/busybox.ts'
import { startEngine, type TestEngine } from '../support/engine.ts'
import { until } from '../support/until.ts'

/** The SDK for Node.js; the engine runs in one process here, so that this way of running is driven by a client too. */
describe('dockerode, single process', () => {
  let engine: TestEngine
  let docker: Docker

  before(async () => {
    engine = await startEngine({ singleProcess: true })
    docker = new Docker({ socketPath: engine.socket })
  })
  after(() => engine.stop())

  /** A started container, removed when the work is over. */
  const withContainer = async (
    options: Partial<Docker.ContainerCreateOptions>,
    work: (container: Docker.Container) => Promise<void>,
  ): Promise<void> => {
    const container = await docker.createContainer({ Image: IMAGE, ...options })
    try {
      await work(container)
    } finally {
      await container.remove({ force: true })
    }
  }
  /** The two channels of a multiplexed stream, to its end. */
  const demultiplex = async (stream: NodeJS.ReadableStream): Promise<[string, string]> => {
    const out = new PassThrough()
    const err = new PassThrough()
    docker.modem.demuxStream(stream, out, err)
    stream.once('end', () => {
      out.end()
      err.end()
    })
    return Promise.all([text(out), text(err)])
  }

  test('the six services are one process', async () => {
    const { services } = await engine.status()
    assert.equal(new Set(services.map((service) => service.pid)).size, 1)
    assert.equal(services.length, 6)
  })

  test('ping, version, info', async () => {
    assert.equal(String(await docker.ping()), 'OK')
    assert.match((await docker.version()).ApiVersion, /^1\.\d+$/)
    assert.equal(typeof ((await docker.info()) as { Containers: number }).Containers, 'number')
  })

  test('run', async () => {
    const out = new PassThrough()
    const printed = text(out)
    const [result, container] = (await docker.run(IMAGE, ['sh', '-c', 'echo ran; exit 5'], out)) as [
      { StatusCode: number },
      Docker.Container,
    ]
    out.end()
    assert.equal(result.StatusCode, 5)
    assert.match(await printed, /ran/)
    await container.remove()
  })

  test('attach: hijacked, stdin goes in and its end is heard', async () => {
    const options = { Cmd: ['cat'], OpenStdin: true, StdinOnce: true, AttachStdin: true }
    await withContainer(options, async (container) => {
      const stream = (await container.attach({ stream: true, stdin: true, stdout: true, hijack: true })) as Duplex
      await container.start()
      const printed = demultiplex(stream)
      stream.write('first ')
      stream.end('second')
      assert.deepEqual(await printed, ['first second', ''])
      assert.equal(((await container.wait()) as { StatusCode: number }).StatusCode, 0)
    })
  })

  test('attach before the start loses nothing', async () => {
    await withContainer({ Cmd: ['sh', '-c', 'seq 1 20000; echo end >&2'] }, async (container) => {
      const stream = await container.attach({ stream: true, stdout: true, stderr: true })
      const printed = demultiplex(stream)
      await container.start()
      const [out, err] = await printed
      assert.equal(out.split('\n').length, 20_001)
      assert.equal(err, 'end\n')
    })
  })

  test('exec: output, input, exit code', async () => {
    await withContainer({ Cmd: ['sleep', '1000'] }, async (container) => {
      await container.start()
      const exec = await container.exec({
        Cmd: ['sh', '-c', 'cat; echo problem >&2; exit 6'],
        AttachStdin: true,
        AttachStdout: true,
        AttachStderr: true,
      })
      const stream = await exec.start({ hijack: true, stdin: true })
      const printed = demultiplex(stream)
      stream.end('typed')
      assert.deepEqual(await printed, ['typed', 'problem\n'])
      await until('the exit code', 5000, async () => (await exec.inspect()).ExitCode === 6)
    })
  })

  test('logs follow to the end', async () => {
    await withContainer(
      { Cmd: ['sh', '-c', 'for i in 1 2 3; do echo line $i; sleep 0.1; done'] },
      async (container) => {
        await container.start()
        const stream = await container.logs({ follow: true, stdout: true, stderr: true })
        assert.deepEqual(await demultiplex(stream), ['line 1\nline 2\nline 3\n', ''])
      },
    )
  })

  test('events', async () => {
    const stream = (await docker.getEvents({ filters: { type: ['container'], event: ['start'] } })) as Duplex
    try {
      const heard = once(stream, 'data') as Promise<[Buffer]>
      await withContainer({ Cmd: ['true'] }, async (container) => {
        await container.start()
        const [data] = await heard
        const event = JSON.parse(data.toString()) as { Action: string; Actor: { ID: string } }
        assert.deepEqual([event.Action, event.Actor.ID], ['start', container.id])
      })
    } finally {
      stream.destroy()
    }
  })

  test('stats: one shot and stream', async () => {
    await withContainer({ Cmd: ['sleep', '1000'] }, async (container) => {
      await container.start()
      const shot = await container.stats({ stream: false })
      assert.ok(shot.memory_stats.usage > 0)
      assert.equal(shot.pids_stats?.current, 1)
      const stream = (await container.stats({ stream: true })) as unknown as Duplex
      try {
        const [data] = (await once(stream, 'data')) as [Buffer]
        assert.equal((JSON.parse(data.toString()) as { id: string }).id, container.id)
      } finally {
        stream.destroy()
      }
    })
  })

  test('a terminal: raw stream, resize', async () => {
    const options = { Cmd: ['sh'], Tty: true, OpenStdin: true, AttachStdin: true, AttachStdout: true }
    await withContainer(options, async (container) => {
      const stream = (await container.attach({ stream: true, stdin: true, stdout: true, hijack: true })) as Duplex
      let screen = ''
      stream.on('data', (data: Buffer) => (screen += data.toString()))
      await container.start()
      await container.resize({ h: 33, w: 99 })
      await until('the size', 5000, async () => {
        if (!screen.includes('33 99')) stream.write('stty size\n')
        return screen.includes('33 99')
      })
      stream.write('exit 8\n')
      assert.equal(((await container.wait()) as { StatusCode: number }).StatusCode, 8)
    })
  })

  test('what is not there is 404 and named', async () => {
    const is404 = (error: unknown): boolean => {
      const { statusCode, message } = error as { statusCode: number; message: string }
      return statusCode === 404 && message.includes('nope')
    }
    await assert.rejects(docker.getContainer('nope').inspect(), is404)
    await assert.rejects(docker.createContainer({ Image: 'nope/nope' }), is404)
    await assert.rejects(docker.getNetwork('nope').inspect(), is404)
    await assert.rejects(docker.getImage('nope').inspect(), is404)
  })

  test('nothing is left in the kernel', async () => {
    await engine.removeContainers()
    assert.deepEqual(await engine.leaks(), [])
  })
})
