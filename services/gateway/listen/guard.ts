import type { IncomingMessage } from 'node:http'
import { forbidden } from '../../../shared/errors/index.ts'
import { isLoopback } from './addresses.ts'

/**
 * A web page must not reach the API on a loopback port through somebody's browser: neither across origins nor by a name that
 * was rebound to 127.0.0.1. So on TCP the Host, and the Origin where there is one, must themselves be loopback.
 * @throws forbidden
 */
export function checkOrigin(request: IncomingMessage): void {
  const { host, origin } = request.headers
  if (host !== undefined && !isLocalName(host)) throw forbidden(`requests for host "${host}" are not served here`)
  if (origin !== undefined && !isLocalName(origin.replace(/^[a-z]+:\/\//, ''))) {
    throw forbidden(`requests from pages of "${origin}" are not served here`)
  }
}

function isLocalName(hostAndPort: string): boolean {
  const name = hostAndPort.replace(/:\d+$/, '').replace(/^\[|\]$/g, '')
  return name === 'localhost' || name.endsWith('.localhost') || isLoopback(name)
}
