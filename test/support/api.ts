import { request } from 'node:http'

export interface ApiReply {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly body: Buffer
  text(): string
  json<T = unknown>(): T
}

/** One request to a Docker API on a unix socket; any status is a reply, only a broken connection throws. */
export function apiCall(
  socket: string,
  method: string,
  path: string,
  body?: unknown,
  timeoutMs = 60_000,
): Promise<ApiReply> {
  const raw = body instanceof Uint8Array
  const payload = body === undefined ? undefined : raw ? body : Buffer.from(JSON.stringify(body))
  return new Promise((resolve, reject) => {
    const call = request(
      {
        socketPath: socket,
        method,
        path,
        timeout: timeoutMs,
        headers: {
          host: 'docker',
          ...(payload === undefined
            ? {}
            : { 'content-type': raw ? 'application/x-tar' : 'application/json', 'content-length': payload.length }),
        },
      },
      (response) => {
        const parts: Buffer[] = []
        response.on('data', (part: Buffer) => parts.push(part))
        response.once('error', reject)
        response.once('end', () => {
          const data = Buffer.concat(parts)
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            body: data,
            text: () => data.toString(),
            json: <T>() => JSON.parse(data.toString()) as T,
          })
        })
      },
    )
    call.once('timeout', () => call.destroy(new Error(`${method} ${path}: no answer within ${timeoutMs} ms`)))
    call.once('error', reject)
    call.end(payload)
  })
}

/** As apiCall, but a status of 400 and above throws with the API's message. */
export async function api(socket: string, method: string, path: string, body?: unknown): Promise<ApiReply> {
  const reply = await apiCall(socket, method, path, body)
  if (reply.status >= 400) throw new Error(`${method} ${path}: ${reply.status} ${reply.text()}`)
  return reply
}
