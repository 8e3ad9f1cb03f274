import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { after, before, test } from 'node:test'
import dnsPacket from 'dns-packet'
import { askUdp } from '../../services/network/dns/upstream.ts'
import { IMAGE } from '../support/busybox.ts'
import { startEngine, type TestEngine } from '../support/engine.ts'
import { until } from '../support/until.ts'

const KILLS = 3
const NAMES = Array.from({ length: 8 }, (_, i) => `name${i}`)

let engine: TestEngine
const docker = async (...args: string[]): Promise<string> => {
  const { code, stdout, stderr } = await engine.docker(args)
  assert.equal(code, 0, `docker ${args.join(' ')}: ${stderr}`)
  return stdout.trim()
}

before(async () => {
  engine = await startEngine()
  await docker('network', 'create', 'names')
  for (const name of NAMES) await docker('run', '-d', '--net', 'names', '--name', name, IMAGE, 'sleep', '900')
})
after(() => engine.stop())

test('while the network service is killed again and again, a name is never denied: it has no answer, or the right one', async () => {
  const netns = `/proc/${await docker('inspect', '-f', '{{.State.Pid}}', 'name0')}/ns/net`
  const answers = { right: 0, none: 0, wrong: [] as string[] }
  let over = false
  const ask = async (name: string): Promise<void> => {
    const question = dnsPacket.encode({ type: 'query', id: 1, questions: [{ type: 'A', name }] })
    const reply = await askUdp(question, { server: '127.0.0.11', port: 53, netns }, 250)
    const { flags = 0, answers: records = [] } = reply ? dnsPacket.decode(reply) : {}
    if (!reply) answers.none++
    else if ((flags & 0xf) === 0 && records.length === 1) answers.right++
    else answers.wrong.push(`${name}: ${flags & 0xf}`)
  }
  const asking = NAMES.map(async (name) => {
    while (!over) {
      await ask(name)
      await sleep(10)
    }
  })
  for (let kill = 0; kill < KILLS; kill++) {
    const killed = await engine.kill('network')
    await until('the network service', 15_000, async () => {
      const { services } = await engine.status()
      return services.some((s) => s.name === 'network' && s.ready && s.pid !== killed)
    })
    const { right } = answers
    await until('an answer', 5_000, () => answers.right > right)
  }
  over = true
  await Promise.all(asking)
  assert.deepEqual(answers.wrong, [])
  assert.ok(answers.none > 0, 'the service was away')
})
