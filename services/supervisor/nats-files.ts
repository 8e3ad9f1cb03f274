import { randomBytes, randomInt } from 'node:crypto'
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import type { Config } from '../../shared/config/index.ts'
import { unavailable } from '../../shared/errors/index.ts'
import { natsConfig } from './nats-config.ts'
import { BUS_USERS, credentialsPath, enginePaths, type BusUser, type EnginePaths } from './paths.ts'

/** Below the kernel's range of ports for outgoing connections, so that none of these takes it while nats-server restarts. */
const FIRST_PORT = 30_000
const LAST_PORT = 32_700

const URL_VARIABLE = 'GANTRY_NATS_URL'

export const natsUrl = (port: number): string => `nats://127.0.0.1:${port}`

/** A port of the loopback address on which nobody listens. */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const port = randomInt(FIRST_PORT, LAST_PORT + 1)
    if (await isFree(port)) return port
  }
  throw unavailable(`no free port between ${FIRST_PORT} and ${LAST_PORT} on 127.0.0.1 for nats-server`)
}

export function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => server.close(() => resolve(true)))
  })
}

/**
 * Writes nats-server's configuration and a credentials file for every bus user, all new, readable by root alone. A
 * credentials file is JSON: `{"user": ..., "password": ...}`.
 */
export function writeNatsFiles(config: Config, port: number): void {
  const paths = enginePaths(config)
  for (const directory of [paths.natsDir, paths.natsStore, paths.logDir]) {
    mkdirSync(directory, { recursive: true, mode: 0o700 })
  }
  chmodSync(paths.natsDir, 0o700)
  for (const file of readdirSync(paths.natsDir)) {
    if (file.endsWith('.ports')) rmSync(join(paths.natsDir, file))
  }
  const passwords = Object.fromEntries(BUS_USERS.map((user) => [user, randomBytes(24).toString('hex')])) as Record<
    BusUser,
    string
  >
  for (const user of BUS_USERS) {
    writePrivate(credentialsPath(paths.natsDir, user), JSON.stringify({ user, password: passwords[user] }) + '\n')
  }
  const text = natsConfig({
    node: config.node,
    port,
    storeDir: paths.natsStore,
    logFile: paths.natsLog,
    portsDir: paths.natsDir,
    passwords,
  })
  writePrivate(paths.natsEnvironment, `${URL_VARIABLE}=${natsUrl(port)}\n`)
  // Last: where it is, the others are.
  writePrivate(paths.natsConfig, text)
}

/** The server's address as written by `writeNatsFiles`; undefined when it was not. */
export function readNatsUrl(paths: EnginePaths): string | undefined {
  if (!existsSync(paths.natsEnvironment)) return undefined
  const line = readFileSync(paths.natsEnvironment, 'utf8').trim()
  return line.startsWith(`${URL_VARIABLE}=`) ? line.slice(URL_VARIABLE.length + 1) : undefined
}

function writePrivate(path: string, text: string): void {
  rmSync(path, { force: true })
  writeFileSync(path, text, { mode: 0o600 })
}
