import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { apiCall } from '../support/api.ts'
import { importBusybox } from '../support/busybox.ts'
import { command } from '../support/command.ts'
import { until } from '../support/until.ts'
import { BENCH_IMAGE, type Subject } from './subject.ts'

export const hasDockerd = (): boolean => spawnSync('dockerd', ['--version']).status === 0

/**
 * A real dockerd with its containerd, in folders of its own and in a network namespace of its own: its bridge and its iptables rules
 * stay in there and end with it.
 */
export async function startDockerd(): Promise<Subject> {
  const directory = mkdtempSync(join(tmpdir(), 'dockerd-'))
  const namespace = directory.split('/').at(-1) ?? ''
  const socket = join(directory, 'docker.sock')
  const env = { ...process.env, DOCKER_HOST: `unix://${socket}`, DOCKER_CLI_HINTS: 'false', DOCKER_CONFIG: directory }
  await must('ip', 'netns', 'add', namespace)
  await must('ip', '-n', namespace, 'link', 'set', 'lo', 'up')
  // Not the machine's /etc/docker/daemon.json.
  writeFileSync(join(directory, 'daemon.json'), '{}')
  const log = openSync(join(directory, 'log'), 'a')
  const daemon = spawn(
    'nsenter',
    [
      `--net=/run/netns/${namespace}`,
      'dockerd',
      ...['--data-root', join(directory, 'data'), '--exec-root', join(directory, 'exec')],
      ...[
        '--pidfile',
        join(directory, 'pid'),
        '--host',
        `unix://${socket}`,
        '--config-file',
        join(directory, 'daemon.json'),
      ],
      ...['--bip', '10.99.0.1/16', '--storage-driver', 'overlay2'],
    ],
    { stdio: ['ignore', log, log], detached: true },
  )
  const stop = async (): Promise<void> => {
    if (daemon.exitCode === null) {
      const gone = new Promise((resolve) => daemon.once('exit', resolve))
      daemon.kill('SIGTERM')
      await Promise.race([gone, new Promise((resolve) => setTimeout(resolve, 20_000).unref())])
    }
    for (const pid of processesOf(directory)) process.kill(pid, 'SIGKILL')
    for (const line of readFileSync('/proc/self/mountinfo', 'utf8').split('\n').reverse()) {
      const target = line.split(' ')[4] ?? ''
      if (target.startsWith(`${directory}/`)) await command('umount', ['-l', target])
    }
    await command('ip', ['netns', 'delete', namespace])
    rmSync(directory, { recursive: true, force: true })
  }
  const ended = new Promise<never>((_, reject) =>
    daemon.once('exit', () => reject(new Error(readFileSync(join(directory, 'log'), 'utf8').slice(-2000)))),
  )
  ended.catch(() => undefined)
  try {
    const answers = until('dockerd', 30_000, async () => (await apiCall(socket, 'GET', '/_ping')).status === 200)
    await Promise.race([answers, ended])
    await importBusybox(socket, BENCH_IMAGE)
  } catch (error) {
    await stop()
    throw error
  }
  return {
    name: 'docker',
    socket,
    reference: true,
    docker: (...args) => command('docker', args, { env, timeoutMs: 120_000 }),
    processes: () => Promise.resolve(processesOf(directory)),
    stop,
  }
}

/** dockerd, containerd, shims and port proxies: all but nsenter have the folder in their arguments; proxies have dockerd as parent. */
function processesOf(directory: string): number[] {
  const found = new Map<number, { text: string; parent: number }>()
  for (const pid of readdirSync('/proc').filter((entry) => /^\d+$/.test(entry))) {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
      const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1])
      found.set(Number(pid), { text: readFileSync(`/proc/${pid}/cmdline`, 'utf8'), parent })
    } catch {
      // It has ended meanwhile.
    }
  }
  const daemons = [...found].filter(([, { text }]) => text.includes(directory)).map(([pid]) => pid)
  const proxies = [...found].filter(([, p]) => p.text.includes('docker-proxy') && daemons.includes(p.parent))
  return [...daemons, ...proxies.map(([pid]) => pid)]
}

async function must(program: string, ...args: string[]): Promise<void> {
  const { code, stderr } = await command(program, args)
  if (code !== 0) throw new Error(`${program} ${args.join(' ')}: ${stderr}`)
}
