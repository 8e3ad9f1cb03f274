import type { IncomingMessage, ServerResponse } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import type { Config } from '../../shared/config/index.ts'
import type { Logger } from '../../shared/log/index.ts'
import { createApi } from './api.ts'
import type { Backend } from './backend.ts'
import { parseHost, type Address } from './listen/addresses.ts'
import { listen, type Listener } from './listen/server.ts'

export interface Gateway {
  /** `unix:///run/gantry/docker.sock`, `tcp://127.0.0.1:2375` */
  readonly addresses: readonly string[]
  readonly warnings: readonly string[]
  /** Finishes requests that end by themselves (within a few seconds), then closes every connection. */
  stop(): Promise<void>
}

export interface GatewayOptions {
  readonly backend: Backend
  readonly config: Pick<Config, 'socket' | 'hosts' | 'socketGroup'>
  readonly log: Logger
}

const DRAIN_MS = 5_000

/** Opens the API on the unix socket and the configured loopback addresses; all or none. */
export async function startGateway({ backend, config, log }: GatewayOptions): Promise<Gateway> {
  const addresses: Address[] = [{ kind: 'unix', path: config.socket }, ...(config.hosts ?? []).map(parseHost)]
  const api = await createApi(backend, log)
  const listeners: Listener[] = []
  try {
    for (const address of addresses) {
      const handle = (request: IncomingMessage, response: ServerResponse): void =>
        api.handle(request, response, address.kind === 'tcp')
      listeners.push(await listen(address, handle, config.socketGroup))
    }
  } catch (error) {
    await Promise.all(listeners.map((l) => l.close()))
    throw error
  }
  const open = listeners.map((l) => l.address)
  log.info({ addresses: open }, 'the API is open')
  return {
    addresses: open,
    warnings: listeners.flatMap((l) => l.warning ?? []),
    async stop() {
      for (const listener of listeners) listener.drain()
      await Promise.race([api.idle(), delay(DRAIN_MS, undefined, { ref: false })])
      await Promise.all(listeners.map((l) => l.close()))
    },
  }
}
