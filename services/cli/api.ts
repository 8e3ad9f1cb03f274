import { request, type IncomingMessage } from 'node:http'
import { createInterface } from 'node:readline'
import { loadConfig } from '../../shared/config/index.ts'
import { CliError } from './fail.ts'

/** GET on the API socket; a status of 400 and above is thrown with the API's message. */
export function apiGet(path: string): Promise<IncomingMessage> {
  const { socket } = loadConfig()
  return new Promise((resolve, reject) => {
    const call = request({ socketPath: socket, path, headers: { host: 'gantry' } }, (response) => {
      if ((response.statusCode ?? 500) < 400) resolve(response)
      else void text(response).then((body) => reject(new CliError(messageOf(body))), reject)
    })
    call.once('error', (error: NodeJS.ErrnoException) =>
      reject(
        error.code === 'ENOENT' || error.code === 'ECONNREFUSED'
          ? new CliError(`nobody answers at ${socket}: is the engine running? (gantry up)`)
          : error,
      ),
    )
    call.end()
  })
}

export async function apiJson<T>(path: string): Promise<T> {
  return JSON.parse(await text(await apiGet(path))) as T
}

/** A reply of one JSON value a line, as it comes. */
export async function* apiLines<T>(path: string): AsyncGenerator<T> {
  for await (const line of createInterface({ input: await apiGet(path) })) {
    if (line !== '') yield JSON.parse(line) as T
  }
}

async function text(response: IncomingMessage): Promise<string> {
  const parts: Buffer[] = []
  for await (const part of response) parts.push(part as Buffer)
  return Buffer.concat(parts).toString()
}

function messageOf(body: string): string {
  try {
    return (JSON.parse(body) as { message?: string }).message ?? body
  } catch {
    return body
  }
}
