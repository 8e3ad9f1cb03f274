import assert from 'node:assert/strict'
import {
  appendFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { gzipSync } from 'node:zlib'
import type { LogQuery } from '../../drivers/log.ts'
import { parseFileOptions, parseSize } from './options.ts'
import { readLog } from './reader.ts'
import { RecordDecoder } from './records.ts'
import { boundLog } from './rotation.ts'

const time = (second: number): string => `2026-11-21T01:00:${String(second % 60).padStart(2, '0')}.123456789+00:00`
const record = (stream: 'stdout' | 'stderr', tag: 'F' | 'P', text: string, second = 0): string =>
  `${time(second)} ${stream} ${tag} ${text}\n`

const everything: LogQuery = {
  ...{ stdout: true, stderr: true, since: 0, until: 0, tail: -1, timestamps: false, details: '' },
  cancelled: new AbortController().signal,
}

describe('container log', () => {
  let dir: string
  let path: string
  before(() => {
    dir = mkdtempSync(join(tmpdir(), 'gantry-log-'))
    path = join(dir, 'container.log')
  })
  after(() => rmSync(dir, { recursive: true, force: true }))

  const read = async (more: Partial<LogQuery> = {}, from = path): Promise<string> => {
    let text = ''
    for await (const { channel, data } of readLog(from, { ...everything, ...more })) {
      text += `${channel}:${Buffer.from(data).toString()}`
    }
    return text
  }

  it('is decoded: streams, parts, times', async () => {
    writeFileSync(
      path,
      record('stdout', 'F', 'one', 1) +
        record('stderr', 'F', 'oops', 2) +
        record('stdout', 'P', 'long ', 3) +
        record('stderr', 'P', 'in ', 4) +
        record('stdout', 'P', 'long ', 5) +
        record('stdout', 'F', 'line', 6) +
        record('stderr', 'F', 'between', 7) +
        record('stdout', 'F', '', 8) +
        record('stdout', 'P', 'no newline', 9),
    )
    assert.equal(await read({ stderr: false }), '1:one\nlong long line\n\nno newline')
    assert.equal(await read({ stdout: false }), '2:oops\nin between\n')
    assert.equal(
      await read({ stderr: false, timestamps: true, details: 'a=b', tail: 3 }),
      [
        '1:2026-11-21T01:00:03.123456789Z a=b long long line\n',
        '2026-11-21T01:00:08.123456789Z a=b \n',
        '2026-11-21T01:00:09.123456789Z a=b no newline',
      ].join(''),
    )
    const at = Date.UTC(2026, 10, 21, 1, 0, 5) / 1000
    assert.equal(await read({ since: at }), '1:\nno newline')
    assert.equal(await read({ until: at - 2 }), '1:one\n2:oops\n')
    assert.equal(await read({}, join(dir, 'missing')), '')
  })

  it('gives the same whatever the pieces', () => {
    let text = ''
    for (let i = 0; i < 500; i++)
      text += record(i % 3 ? 'stdout' : 'stderr', i % 5 ? 'F' : 'P', 'x'.repeat((i * 7) % 90), i)
    const data = Buffer.from(text)
    const decode = (size: number): string[] => {
      const decoder = new RecordDecoder({ ...everything, timestamps: true })
      const out = ['', '', '']
      for (let at = 0; at < data.length; at += size) {
        for (const c of decoder.decode(data.subarray(at, at + size), at))
          out[c.channel] += Buffer.from(c.data).toString()
      }
      return out
    }
    for (const size of [1, 7, 45, 46, 1000]) assert.deepEqual(decode(size), decode(data.length))
  })

  it('is read from the end: any tail equals the end of the whole', async () => {
    // A simple generator of numbers, so that a failure can be repeated.
    let seed = 42
    const random = (below: number): number => (seed = (seed * 1103515245 + 12345) % 2147483648) % below
    for (let round = 0; round < 30; round++) {
      let text = ''
      const lines: string[][] = [[], [], []]
      const open = ['', '', '']
      const order: { channel: number; line: number }[] = []
      for (let i = 0; i < random(200) + 1; i++) {
        const channel = random(3) === 0 ? 2 : 1
        const partial = random(4) === 0
        const word = 'w'.repeat(random(30) === 0 ? 9000 : random(20)) + String(i)
        text += record(channel === 1 ? 'stdout' : 'stderr', partial ? 'P' : 'F', word)
        open[channel] += word
        if (partial) continue
        lines[channel]?.push(`${open[channel]}\n`)
        open[channel] = ''
        order.push({ channel, line: (lines[channel]?.length ?? 0) - 1 })
      }
      // What is left unfinished is a line too.
      writeFileSync(path, text)
      for (const [stdout, stderr] of [
        [true, false],
        [false, true],
      ] as const) {
        const channel = stdout ? 1 : 2
        const all = [...(lines[channel] ?? []), ...(open[channel] === '' ? [] : [open[channel] ?? ''])]
        for (const tail of [0, 1, 2, 5, 50, 1000]) {
          const expected = tail === 0 ? '' : all.slice(-tail).join('')
          const got = await read({ stdout, stderr, tail })
          assert.equal(got.replaceAll(`${channel}:`, ''), expected, `round ${round} tail ${tail} of channel ${channel}`)
        }
      }
    }
  })

  it('reads rotated files, compressed ones too, tail across them', async () => {
    writeFileSync(`${path}.2.gz`, gzipSync(record('stdout', 'F', 'a') + record('stdout', 'F', 'b')))
    writeFileSync(`${path}.1`, record('stdout', 'F', 'c') + record('stdout', 'P', 'd'))
    writeFileSync(path, record('stdout', 'F', 'd') + record('stdout', 'F', 'e'))
    assert.equal((await read()).replaceAll('1:', ''), 'a\nb\nc\ndd\ne\n')
    assert.equal((await read({ tail: 1 })).replaceAll('1:', ''), 'e\n')
    assert.equal((await read({ tail: 4 })).replaceAll('1:', ''), 'b\nc\ndd\ne\n')
    for (const file of [`${path}.2.gz`, `${path}.1`]) rmSync(file)
  })

  it('is followed through a rotation until the end', async () => {
    writeFileSync(path, record('stdout', 'F', 'old'))
    const ended = new AbortController()
    let text = ''
    const wait = async (word: string): Promise<void> => {
      while (!text.includes(word)) await new Promise((resolve) => setTimeout(resolve, 5))
    }
    const alive = setInterval(() => undefined, 1000)
    const reading = (async () => {
      for await (const { data } of readLog(path, { ...everything, tail: 0, follow: ended.signal })) {
        text += Buffer.from(data).toString()
      }
    })()
    await new Promise((resolve) => setTimeout(resolve, 50))
    appendFileSync(path, record('stdout', 'F', 'new'))
    await wait('new')
    renameSync(path, `${path}.1`)
    appendFileSync(`${path}.1`, record('stdout', 'F', 'late'))
    writeFileSync(`${path}.tmp`, '')
    renameSync(`${path}.tmp`, path)
    appendFileSync(path, record('stdout', 'F', 'fresh'))
    await wait('fresh')
    appendFileSync(path, record('stdout', 'F', 'last'))
    ended.abort()
    await reading
    clearInterval(alive)
    assert.equal(text, 'new\nlate\nfresh\nlast\n')
    rmSync(`${path}.1`)
  })

  it('is kept within its bounds', async () => {
    const bounds = { maxSize: 10_000, maxFiles: 3, compress: false }
    const line = (i: number): string => record('stdout', 'F', String(i).padStart(50, '0'))
    const fill = (from: number, to: number): void => {
      for (let i = from; i < to; i++) appendFileSync(path, line(i))
    }
    /** As conmon does it. */
    const reopen = (): void => {
      writeFileSync(`${path}.tmp`, '')
      renameSync(`${path}.tmp`, path)
    }
    writeFileSync(path, '')
    for (let round = 0; round < 5; round++) {
      fill(round * 150, round * 150 + 150)
      await boundLog(path, bounds, reopen)
    }
    assert.equal(statSync(path).size, 0)
    assert.ok(existsSync(`${path}.2`) && !existsSync(`${path}.3`))
    const numbers = (await read()).replaceAll('1:', '').trim().split('\n').map(Number)
    assert.deepEqual(
      numbers,
      Array.from({ length: 300 }, (_, i) => 450 + i),
    )
    // It had ended before anybody could rotate.
    fill(750, 1500)
    await boundLog(path, bounds, undefined)
    assert.ok(statSync(path).size <= bounds.maxSize)
    assert.match(readFileSync(path, 'utf8'), /^2026/)
    assert.match((await read({ tail: 1 })).trim(), /1499$/)
  })

  it('has options', () => {
    assert.equal(parseSize('x', '10m'), 10 << 20)
    assert.equal(parseSize('x', '1.5k'), 1536)
    assert.throws(() => parseSize('max-size', 'lots'), /invalid value for log opt max-size: 'lots'/)
    const defaults = { maxSize: undefined, maxFiles: 1, compress: false }
    const parse = (options: Record<string, string>): unknown => parseFileOptions('json-file', options, defaults)
    assert.equal(parse({}), undefined)
    assert.deepEqual(parse({ 'max-size': '1k', 'max-file': '3', labels: 'a' }), {
      maxSize: 1024,
      maxFiles: 3,
      compress: false,
    })
    assert.throws(() => parse({ nope: '1' }), /unknown log opt 'nope' for json-file log driver/)
    assert.throws(() => parse({ 'max-size': '1k', 'max-file': '0' }), /max-file cannot be less than 1/)
    assert.throws(() => parse({ mode: 'non-blocking' }), /'non-blocking' is not supported/)
    assert.throws(() => parse({ compress: 'true' }), /compress cannot be true/)
  })
})
