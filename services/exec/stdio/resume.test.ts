import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { isKind } from '../../../shared/errors/index.ts'
import { sendRest } from './resume.ts'

describe('the rest of an output', () => {
  const rest = async (has: { stdout: number; stderr: number }, ...output: [number, string][]): Promise<string[]> => {
    const sent: string[] = []
    const stream = {
      closed: new AbortController().signal,
      send: async (channel: number, data: Uint8Array) => void sent.push(`${channel}${Buffer.from(data).toString()}`),
    }
    await sendRest(stream, has, async (out) => {
      for (const [channel, text] of output) await out.send(channel, Buffer.from(text))
    })
    return sent
  }

  it('begins where the client stopped, on each channel by itself, also within a frame', async () => {
    const output: [number, string][] = [
      [1, 'one\n'],
      [2, 'two\n'],
      [1, 'three\n'],
    ]
    assert.deepEqual(await rest({ stdout: 6, stderr: 0 }, ...output), ['2two\n', '1ree\n'])
    assert.deepEqual(await rest({ stdout: 10, stderr: 4 }, ...output), [])
  })

  it('is refused when the log has less than the client', async () => {
    await assert.rejects(rest({ stdout: 9, stderr: 0 }, [1, 'one\n']), (e) => isKind(e, 'internal'))
  })
})
