import { forbidden, invalid, isKind } from '../../../shared/errors/index.ts'
import type { EndpointSettings } from '../config/schema.ts'
import type { Engine } from '../engine.ts'
import { endpointRequest } from './requests.ts'

/**
 * Endpoints by their network's name, with its id. A network that is not there yet is looked for again when the container starts, as
 * Docker does: clients take a 404 from create for a missing image.
 */
export async function resolveNetworks(
  engine: Engine,
  endpoints: Readonly<Record<string, EndpointSettings>>,
): Promise<Record<string, EndpointSettings>> {
  const resolved = await Promise.all(
    Object.entries(endpoints).map(async ([ref, settings]) => {
      // A stale id may be here when a client repeats what inspect showed it.
      const { NetworkID: _stale, ...wish } = settings
      if (ref === 'bridge') return checked(engine, ref, wish)
      const network = await inspectNetwork(engine, ref)
      if (network === undefined) return [ref, wish] as const
      const name = String(network['Name'])
      refuseConfigOnly(network)
      if (network['Driver'] === 'host' || network['Driver'] === 'null') {
        throw invalid(`container cannot be connected to the network "${name}" besides other networks`)
      }
      return checked(engine, name, { ...wish, NetworkID: String(network['Id']) })
    }),
  )
  return Object.fromEntries(resolved)
}

async function inspectNetwork(engine: Engine, ref: string): Promise<Record<string, unknown> | undefined> {
  try {
    return await engine.lower.network['network.inspect']({ ref })
  } catch (error) {
    if (isKind(error, 'not-found')) return undefined
    throw error
  }
}

/** @throws `forbidden` for a network that is nothing but settings for others. */
export function refuseConfigOnly(network: Record<string, unknown>): void {
  if (network['ConfigOnly'] === true) {
    throw forbidden(`cannot connect a container to configuration network ${String(network['Name'])}`)
  }
}

async function checked(engine: Engine, name: string, settings: EndpointSettings) {
  await checkWithNetwork(engine, name, settings)
  return [name, settings] as const
}

/** Asks the network whether it can give what a container wishes for, so that it is not refused at its start. @throws as a start does. */
export async function checkWithNetwork(engine: Engine, name: string, settings: EndpointSettings): Promise<void> {
  const endpoint = endpointRequest({ links: [] }, name, settings)
  const { ipv4, ipv6, mac, driverOptions } = endpoint
  if (ipv4 || ipv6 || mac || Object.keys(driverOptions ?? {}).length > 0) {
    await engine.lower.network['endpoint.check']({ endpoint })
  }
}
