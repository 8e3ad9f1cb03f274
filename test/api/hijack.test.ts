import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { after, before, test } from 'node:test'
import Docker from 'dockerode'
import { invalid, notFound, unavailable } from '../../shared/errors/index.ts'
import { CHANNEL, type StreamConnection } from '../../shared/streams/index.ts'
import { startTestGateway, type TestGateway } from './gateway.ts'

let gateway: TestGateway
/** What the last stream saw. */
let seen: { stdin: string; eof: boolean }

/** Says hello, gives stdin back, and after its end the last words: output goes on when the client has shut its writing side. */
async function echo(connection: StreamConnection): Promise<void> {
  const mine = { stdin: '', eof: false }
  seen = mine
  await connection.send(CHANNEL.stdout, Buffer.from('hello'))
  for await (const { data, eof } of connection.frames) {
    if (eof) {
      mine.eof = true
      break
    }
    mine.stdin += Buffer.from(data).toString()
    await connection.send(CHANNEL.stderr, data)
  }
  await connection.send(CHANNEL.stdout, Buffer.from('bye'))
}

before(async () => {
  gateway = await startTestGateway({
    engine: {
      'container.attach': async ({ ref }) => ({ tty: ref === 'tty', stream: gateway.offer(echo) }),
      'exec.create': async ({ id }) => ({ id }),
      'exec.start': async ({ id, detach, tty }) => {
        if (id === 'nocmd') throw invalid('exec: "/nope": no such file or directory', { details: { exitCode: 127 } })
        return detach ? { tty } : { tty, stream: gateway.offer(echo) }
      },
      'exec.inspect': async ({ id }) => ({ ID: id, ExitCode: 0 }),
      'container.inspect': async ({ ref }) => ({ Id: ref }),
    },
  })
})
after(() => gateway.stop())

const frame = (channel: number, text: string): string =>
  `${String.fromCharCode(channel)}\0\0\0${String.fromCharCode(0, 0, 0, text.length)}${text}`
const HELLO = frame(1, 'hello')
const BYE = frame(1, 'bye')

async function dial(): Promise<Socket> {
  const socket = connect({ path: gateway.socket, allowHalfOpen: true })
  await once(socket, 'connect')
  return socket
}

async function readAll(socket: Socket): Promise<string> {
  let text = ''
  for await (const chunk of socket) text += (chunk as Buffer).toString('latin1')
  return text
}

const post = (path: string, headers: string[] = [], body = ''): string =>
  [`POST ${path} HTTP/1.1`, 'Host: d', ...headers, '', body].join('\r\n')
const UPGRADE = ['Connection: Upgrade', 'Upgrade: tcp']
const json = (body: string) => ['Content-Type: application/json', `Content-Length: ${body.length}`]
const ATTACH = '/v1.45/containers/c/attach?stream=1&stdin=1&stdout=1&stderr=1'

test('an upgrade is answered with 101, and stdin may come right behind the request', async () => {
  const socket = await dial()
  socket.end(`${post(ATTACH, UPGRADE)}in`)
  const [head = '', body = ''] = (await readAll(socket)).split('\r\n\r\n')
  assert.match(head, /^HTTP\/1\.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n/)
  assert.match(head, /Content-Type: application\/vnd\.docker\.multiplexed-stream/)
  assert.match(head, /api-version: 1\.51/i)
  assert.equal(body, HELLO + frame(2, 'in') + BYE)
})

test('a terminal is raw, and so is the media type', async () => {
  const socket = await dial()
  socket.end(`${post('/containers/tty/attach?stream=1&stdin=1', UPGRADE)}in`)
  const [head = '', body = ''] = (await readAll(socket)).split('\r\n\r\n')
  assert.match(head, /application\/vnd\.docker\.raw-stream/)
  assert.equal(body, 'helloinbye')
})

test('before API 1.42 the media type is raw-stream, framed all the same', async () => {
  const socket = await dial()
  socket.end(post('/v1.41/containers/c/attach?stream=1&stdin=1', UPGRADE))
  const [head = '', body = ''] = (await readAll(socket)).split('\r\n\r\n')
  assert.match(head, /application\/vnd\.docker\.raw-stream/)
  assert.equal(body, HELLO + BYE)
})

test('without stdin the end of the writing side is not passed on', async () => {
  const socket = await dial()
  socket.end(post('/containers/c/attach?stream=1&stdout=1', UPGRADE))
  const [first] = (await once(socket, 'data')) as [Buffer]
  assert.match(first.toString(), /101/)
  assert.equal(seen.eof, false)
  socket.destroy()
})

test('without upgrade it is 200, and the connection is raw from there on', async () => {
  const socket = await dial()
  socket.write(post(ATTACH))
  const [first] = (await once(socket, 'data')) as [Buffer]
  assert.match(first.toString(), /^HTTP\/1\.1 200 OK\r\n/)
  socket.end('late')
  assert((await readAll(socket)).endsWith(frame(2, 'late') + BYE))
  assert.equal(seen.stdin, 'late')
})

test('exec start: the body is not stdin, what follows it is', async () => {
  const body = '{"Detach":false,"Tty":true}'
  for (const headers of [UPGRADE, []]) {
    const socket = await dial()
    socket.write(post('/exec/e/start', [...headers, ...json(body)], body))
    await once(socket, 'data')
    socket.end('data')
    assert((await readAll(socket)).endsWith('databye'))
    assert.equal(seen.stdin, 'data')
  }
})

test('a body that comes in pieces, stdin in its last packet', async () => {
  const body = '{"Detach":false,"Tty":true}'
  const socket = await dial()
  socket.write(post('/exec/e/start', [...UPGRADE, ...json(body)], body.slice(0, 5)))
  await new Promise((resolve) => setTimeout(resolve, 20))
  socket.end(`${body.slice(5)}data`)
  assert((await readAll(socket)).endsWith('hellodatabye'))
})

test('detached exec start answers 200 without a stream, upgraded or not', async () => {
  const body = '{"Detach":true}'
  for (const headers of [UPGRADE, []]) {
    const socket = await dial()
    socket.end(post('/exec/e/start', [...headers, 'Connection: close', ...json(body)], body))
    assert.match(await readAll(socket), /^HTTP\/1\.1 200 OK\r\n[^]*\r\n\r\n$/)
  }
})

test('an error before the stream is an ordinary reply, and ends an upgraded connection', async () => {
  const body = '{"Detach":"x"}'
  const socket = await dial()
  socket.write(post('/exec/e/start', [...UPGRADE, ...json(body)], body))
  const text = await readAll(socket)
  assert.match(text, /^HTTP\/1\.1 400 Bad Request\r\n/)
  assert.match(text, /Detach must be a boolean/)
})

test('a command that cannot be run is told on the stream', async () => {
  const body = '{"Detach":false}'
  const socket = await dial()
  socket.end(post('/exec/nocmd/start', [...UPGRADE, ...json(body)], body))
  assert.match(await readAll(socket), /101 UPGRADED[^]*no such file or directory\r\n$/)
})

test('another upgrade than tcp is no upgrade', async () => {
  const socket = await dial()
  socket.write(post('/session', ['Connection: Upgrade', 'Upgrade: h2c']))
  const [first] = (await once(socket, 'data')) as [Buffer]
  assert.match(first.toString(), /^HTTP\/1\.1 501 /)
  socket.destroy()
})

test('a client that goes away cancels the stream', { timeout: 5_000 }, async () => {
  let gone: (() => void) | undefined
  const cancelled = new Promise<void>((resolve) => (gone = resolve))
  const endless = await startTestGateway({
    engine: {
      'container.attach': async () => ({
        tty: true,
        stream: endless.offer(async (connection) => {
          while (!connection.closed.aborted) {
            await connection.send(CHANNEL.stdout, Buffer.from('x'))
            await new Promise((resolve) => setImmediate(resolve))
          }
          gone?.()
        }),
      }),
    },
  })
  try {
    const socket = connect(endless.socket)
    socket.write(post(ATTACH, UPGRADE))
    await once(socket, 'data')
    socket.destroy()
    await cancelled
  } finally {
    await endless.stop()
  }
})

test(
  'a stream that breaks is gone on with where it broke; one that cannot is reported as an error',
  { timeout: 20_000 },
  async () => {
    const asked: unknown[] = []
    const broken = await startTestGateway({
      engine: {
        'container.attach': async ({ ref, resume }) => {
          asked.push(resume)
          if (resume && ref === 'gone') throw notFound('No such container: gone')
          return {
            tty: ref === 'tty',
            point: { exits: 3, since: 5 },
            stream: broken.offer(async (connection) => {
              await connection.send(
                resume ? CHANNEL.stderr : CHANNEL.stdout,
                Buffer.from(resume ? 'the rest' : 'begun'),
              )
              // Frames that are on their way when a stream fails are lost.
              await new Promise((resolve) => setTimeout(resolve, 100))
              if (!resume) throw unavailable('the service was killed')
            }),
          }
        },
      },
    })
    try {
      const attach = async (ref: string): Promise<string> => {
        const socket = connect({ path: broken.socket, allowHalfOpen: true })
        socket.write(post(`/v1.45/containers/${ref}/attach?stream=1&stdout=1&stderr=1`, UPGRADE))
        const all = await readAll(socket)
        socket.destroy()
        return all.slice(all.indexOf('\r\n\r\n') + 4)
      }
      assert.equal(await attach('c'), frame(1, 'begun') + frame(2, 'the rest'))
      assert.deepEqual(asked, [undefined, { exits: 3, since: 5, stdout: 5, stderr: 0 }])
      assert.equal(await attach('tty'), 'begunthe rest')
      const why = 'the stream to the process broke: No such container: gone\n'
      assert.equal(await attach('gone'), frame(1, 'begun') + frame(3, why))
    } finally {
      await broken.stop()
    }
  },
)

test('a large stream arrives whole with back-pressure', async () => {
  const size = 32 * 1024 * 1024
  const big = await startTestGateway({
    engine: {
      'container.attach': async () => ({
        tty: false,
        stream: big.offer(async (connection) => {
          for (let sent = 0; sent < size; sent += 65_536)
            await connection.send(CHANNEL.stdout, Buffer.alloc(65_536, 'x'))
        }),
      }),
    },
  })
  try {
    const socket = connect({ path: big.socket, allowHalfOpen: true })
    socket.write(post(ATTACH, UPGRADE))
    let received = 0
    for await (const chunk of socket) received += (chunk as Buffer).length
    assert(received >= size + (size / 65_536) * 8)
    assert(received < size + (size / 65_536) * 8 + 1000)
  } finally {
    await big.stop()
  }
})

for (const hijack of [true, false]) {
  test(`dockerode attaches and execs, hijack: ${hijack}`, { timeout: 5_000 }, async () => {
    const docker = new Docker({ socketPath: gateway.socket })
    const streams = [
      await docker.getContainer('tty').attach({ stream: true, stdin: true, stdout: true, hijack }),
      await docker.getExec('e').start({ Tty: true, stdin: true, hijack }),
    ]
    for (const stream of streams) {
      let text = ''
      stream.on('data', (chunk: Buffer) => (text += chunk.toString()))
      stream.write('from dockerode')
      while (!text.includes('from dockerode')) await once(stream, 'data')
      assert.match(text, /hellofrom dockerode/)
      if (hijack) {
        const ended = once(stream, 'end')
        stream.end()
        await ended
        assert.match(text, /bye$/)
      } else (stream as Duplex).destroy()
    }
  })
}
