import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm, watch } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** A nats-server of one's own for a test, on a free port or the one given, with a JetStream that is empty; needs no root. */
export async function startTestNats(port = '-1'): Promise<{ url: string; pid: number; stop(): Promise<void> }> {
  const dir = await mkdtemp(join(tmpdir(), 'gantry-nats-'))
  const aborter = new AbortController()
  const changes = watch(dir, { signal: aborter.signal })
  const server = spawn('nats-server', ['-a', '127.0.0.1', '-p', port, '-js', '-sd', dir, '--ports_file_dir', dir], {
    stdio: 'ignore',
  })
  const failed = once(server, 'exit').then(() => {
    throw new Error('nats-server ended at once; is the package nats-server installed?')
  })
  const url = await Promise.race([failed, portsFile(dir, changes)])
  aborter.abort()
  failed.catch(() => undefined)
  return {
    url,
    pid: server.pid ?? 0,
    async stop() {
      if (server.exitCode === null && server.signalCode === null) {
        const gone = once(server, 'exit')
        server.kill('SIGTERM')
        await gone
      }
      await rm(dir, { recursive: true, force: true })
    },
  }
}

async function portsFile(dir: string, changes: AsyncIterable<unknown>): Promise<string> {
  const look = async (): Promise<string | undefined> => {
    const file = (await readdir(dir)).find((f) => f.endsWith('.ports'))
    if (file === undefined) return undefined
    const text = await readFile(join(dir, file), 'utf8')
    return text === '' ? undefined : (JSON.parse(text) as { nats: string[] }).nats[0]
  }
  const iterator = changes[Symbol.asyncIterator]()
  for (;;) {
    // Asking for the next change starts the watch: only then is looking safe against a file that comes in between.
    const change = iterator.next()
    change.catch(() => undefined)
    const url = await look()
    if (url !== undefined) return url
    if ((await change).done === true) break
  }
  throw new Error('nats-server wrote no ports file')
}
