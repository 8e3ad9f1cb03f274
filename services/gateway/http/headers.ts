import type { ServerResponse } from 'node:http'
import { apiText, MAX_API } from './version.ts'

/** Headers of every reply. Clients negotiate by them; Builder-Version 1 is the classic builder (2 would be BuildKit). */
export const commonHeaders = (version: string): ReadonlyArray<readonly [string, string]> => [
  ['Api-Version', apiText(MAX_API)],
  ['Docker-Experimental', 'false'],
  ['Ostype', 'linux'],
  ['Builder-Version', '1'],
  ['Swarm', 'inactive'],
  ['Server', `Gantry/${version} (linux)`],
]

export function setHeaders(response: ServerResponse, headers: ReadonlyArray<readonly [string, string]>): void {
  for (const [name, value] of headers) response.setHeader(name, value)
}
