import Docker from 'dockerode'
import { loadConfig } from '../../shared/config/index.ts'
import { CliError } from './fail.ts'

/** A client of the engine's own API socket. */
export const connectDocker = (): Docker => new Docker({ socketPath: loadConfig().socket })

/** Runs `work`, turning the API's errors into what a user wants to read. */
export async function withDocker<T>(work: (docker: Docker) => Promise<T>): Promise<T> {
  try {
    return await work(connectDocker())
  } catch (error) {
    const { json, code } = error as { json?: { message?: string }; code?: string }
    if (json?.message !== undefined) throw new CliError(json.message)
    if (code === 'ENOENT' || code === 'ECONNREFUSED') {
      throw new CliError(`nobody answers at ${loadConfig().socket}: is the engine running? (gantry up)`)
    }
    throw error
  }
}
