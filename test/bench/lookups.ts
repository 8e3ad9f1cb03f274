import { createSocket } from 'node:dgram'
import dnsPacket from 'dns-packet'
import { withNetns } from '../../shared/kernel/netns.ts'
import { bindSocket } from '../../shared/kernel/sockets.ts'
import { api } from '../support/api.ts'
import { removeAll, startNew, timed } from './containers.ts'
import type { Subject } from './subject.ts'

const QUESTIONS = 30_000
/** Questions under way: enough that the server never waits, few enough for its socket's buffer. */
const WIDTH = 64
const DNS = '127.0.0.11'

/** Answers a second that one container gets for the name of another. */
export async function lookups(subject: Subject): Promise<number> {
  const name = `bench-dns-${process.hrtime.bigint()}`
  await api(subject.socket, 'POST', '/networks/create', { Name: name, CheckDuplicate: true })
  const ids: string[] = []
  try {
    for (let i = 0; i < 2; i++) ids.push(await startNew(subject, { network: name }))
    const [asking = '', other = ''] = ids
    const inspect = await api(subject.socket, 'GET', `/containers/${asking}/json`)
    const { Pid } = inspect.json<{ State: { Pid: number } }>().State
    const ms = await timed(() => ask(`/proc/${Pid}/ns/net`, other.slice(0, 12)))
    return (QUESTIONS / ms) * 1000
  } finally {
    await removeAll(subject, ids)
    await api(subject.socket, 'DELETE', `/networks/${name}`)
  }
}

async function ask(netns: string, name: string): Promise<void> {
  const question = dnsPacket.encode({ type: 'query', id: 1, questions: [{ type: 'A', name }] })
  const socket = createSocket('udp4').bind({ fd: withNetns(netns, () => bindSocket('udp', '0.0.0.0', 0)) })
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  let [asked, answered, seen] = [0, 0, -1]
  const send = (): void => {
    asked++
    question.writeUInt16BE(asked & 0xffff, 0)
    // The bytes may still be needed when the next question is written.
    socket.send(Buffer.from(question), 53, DNS)
  }
  socket.on('error', reject)
  socket.on('message', (reply) => {
    if (((reply[3] ?? 0) & 0x0f) !== 0 || reply.readUInt16BE(6) !== 1)
      reject(new Error(`no answer: ${reply.toString('hex')}`))
    answered++
    if (answered === QUESTIONS) resolve()
    else if (asked < QUESTIONS) send()
  })
  // What got lost is asked again, as a client would.
  const patience = setInterval(() => {
    if (answered === seen) for (let lost = Math.min(WIDTH, QUESTIONS - answered); lost > 0; lost--) send()
    seen = answered
  }, 500)
  for (let i = 0; i < WIDTH; i++) send()
  try {
    await promise
  } finally {
    clearInterval(patience)
    socket.close()
  }
}
