import type { Json } from '../../../shared/contracts/index.ts'
import { VERSION } from '../../../shared/service/version.ts'
import type { Backend } from '../backend.ts'
import { hostFacts } from '../host.ts'
import { apiText, MAX_API, MIN_API } from '../http/version.ts'

/** How long `docker version` waits for the list of runtimes: without the exec service it is an answer all the same. */
const TIMEOUT_MS = 1_000

/** Docker's SystemVersion: the engine, and the runtimes as components. */
export async function assembleVersion(backend: Backend): Promise<Json> {
  const host = hostFacts()
  const details = {
    ApiVersion: apiText(MAX_API),
    Arch: host.architecture,
    BuildTime: '',
    Experimental: 'false',
    GitCommit: '',
    GoVersion: `node ${process.version}`,
    KernelVersion: host.kernel,
    MinAPIVersion: apiText(MIN_API),
    Os: 'linux',
  }
  return {
    Platform: { Name: `Gantry ${VERSION}` },
    Components: [
      { Name: 'Engine', Version: VERSION, Details: details },
      ...(await runtimes(backend)).map(([Name, version]) => ({ Name, Version: version, Details: {} })),
    ],
    Version: VERSION,
    ...details,
    Experimental: false,
  }
}

async function runtimes(backend: Backend): Promise<Array<[name: string, version: string]>> {
  try {
    const info = await Promise.race([
      backend.exec.info({}, { timeoutMs: TIMEOUT_MS }),
      new Promise<never>((_, reject) => setTimeout(reject, TIMEOUT_MS, new Error('no answer')).unref()),
    ])
    return Object.entries(info.runtimes).map(([name, { version }]) => [name, version])
  } catch {
    return []
  }
}
