import assert from 'node:assert/strict'
import { Agent, request } from 'node:http'
import { create, parallel, remove, timed } from './containers.ts'
import type { Subject } from './subject.ts'

const LOOKS = 500

/** Milliseconds for one look at containers, asked again and again on one connection, among `count` containers. */
export async function look(subject: Subject, path: string, count: number): Promise<number> {
  const ids = await parallel(Array.from({ length: count }), 4, () => create(subject, { command: ['true'] }))
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  const once = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const url = path.replace('{id}', ids[0] ?? '')
      const call = request({ socketPath: subject.socket, path: url, agent, headers: { host: 'docker' } }, (reply) => {
        assert.equal(reply.statusCode, 200)
        reply.resume().once('end', resolve).once('error', reject)
      })
      call.once('error', reject).end()
    })
  const many = async (): Promise<void> => {
    for (let i = 0; i < LOOKS; i++) await once()
  }
  try {
    await many()
    return (await timed(many)) / LOOKS
  } finally {
    agent.destroy()
    await parallel(ids, 4, (id) => remove(subject, id))
  }
}
