import { conflict, forbidden, invalid } from '../../../shared/errors/index.ts'
import { parseNetworkMode } from '../config/modes.ts'
import { checkBody } from '../config/body.ts'
import { checkEndpoint } from '../config/wish.ts'
import { isAlive, withState, type Container } from '../containers/container.ts'
import type { Engine } from '../engine.ts'
import { checkWithNetwork, refuseConfigOnly } from '../plan/networks.ts'
import { endpointRequest } from '../plan/requests.ts'
import type { JobRecord } from './runner.ts'

export interface NetworkRequest {
  readonly network: string
  readonly container: string
}

/** Connects a container to a network, at once when it runs, else from its next start on. */
export async function connect(
  engine: Engine,
  request: NetworkRequest & { config: Record<string, unknown> },
): Promise<void> {
  const { id } = engine.containers.find(request.container)
  const given = checkBody('endpoint', request.config)
  const network = await findNetwork(engine, request.network)
  checkEndpoint(network.name, given)
  // The network is the one in the path, whatever the client has copied here from elsewhere.
  const { NetworkID: _, ...wish } = given
  const settings = { ...wish, ...(network.name === 'bridge' ? {} : { NetworkID: network.id }) }
  await engine.locks.run(id, async () => {
    await engine.gate.passed()
    const container = engine.containers.find(id)
    checkConnectable(container, network)
    if (container.endpoints[network.name]) {
      throw forbidden(`endpoint with name ${container.name} already exists in network ${network.name}`)
    }
    const connected: Container = {
      ...container,
      endpoints: { ...container.endpoints, [network.name]: settings },
    }
    if (!isAlive(container)) await checkWithNetwork(engine, network.name, settings)
    await engine.jobs.run(
      { name: 'connect', container: id, arguments: { network: network.id, name: network.name }, intent: true },
      async (job) => {
        const { network: service } = engine.lower
        const sandbox = isAlive(container)
          ? await job.step(
              'network.endpoint.connect',
              () => service['endpoint.connect']({ id, endpoint: endpointRequest(connected, network.name, settings) }),
              () => service['endpoint.disconnect']({ id, network: network.id, force: true }),
            )
          : undefined
        job.commit(() => {
          const { state } = engine.containers.find(id)
          engine.containers.put(withState({ ...connected, state }, { sandbox: sandbox ?? state.sandbox }))
        })
      },
    )
  })
}

/** Disconnects a container from a network. */
export async function disconnect(engine: Engine, request: NetworkRequest & { force: boolean }): Promise<void> {
  const { id } = engine.containers.find(request.container)
  const network = await findNetwork(engine, request.network)
  await engine.locks.run(id, async () => {
    const container = engine.containers.find(id)
    if (network.driver === 'host')
      throw invalid('container cannot be disconnected from host network or connected to host network')
    if (!container.endpoints[network.name]) {
      throw conflict(`container ${id} is not connected to network ${network.name}`)
    }
    await engine.jobs.run(
      { name: 'disconnect', container: id, arguments: { network: network.id, name: network.name }, intent: true },
      async (job) => {
        const { network: service } = engine.lower
        const sandbox = isAlive(container)
          ? await job.step('network.endpoint.disconnect', () =>
              service['endpoint.disconnect']({ id, network: network.id, force: request.force }),
            )
          : undefined
        job.commit(() => recordDisconnect(engine, id, network.name, sandbox))
      },
    )
  })
}

function recordDisconnect(engine: Engine, id: string, name: string, sandbox: Container['state']['sandbox']): void {
  const { [name]: _gone, ...endpoints } = engine.containers.find(id).endpoints
  const container = engine.containers.find(id)
  engine.containers.put(withState({ ...container, endpoints }, { sandbox: sandbox ?? container.state.sandbox }))
}

interface FoundNetwork {
  readonly id: string
  readonly name: string
  readonly driver: string
}

async function findNetwork(engine: Engine, ref: string): Promise<FoundNetwork> {
  const found = await engine.lower.network['network.inspect']({ ref })
  refuseConfigOnly(found)
  return { id: String(found['Id']), name: String(found['Name']), driver: String(found['Driver']) }
}

/** @throws `invalid` in Docker's words. */
function checkConnectable(container: Container, network: FoundNetwork): void {
  const mode = parseNetworkMode(container.hostConfig.NetworkMode ?? '').kind
  if (container.state.status === 'removing' || container.state.status === 'dead') {
    throw conflict(`Container is marked for removal and cannot be connected.`)
  }
  if (mode === 'container') {
    throw invalid(
      'container sharing network namespace with another container or host cannot be connected to any other network',
    )
  }
  if (mode === 'host' || network.driver === 'host') {
    throw invalid('container cannot be disconnected from host network or connected to host network')
  }
  if (mode === 'none' || network.driver === 'null') {
    throw invalid('container cannot be connected to multiple networks with one of the networks in private (none) mode')
  }
}

/** The engine died meanwhile: a connection that was not recorded is taken back, a disconnection is finished. */
export async function recoverConnection(engine: Engine, record: JobRecord): Promise<void> {
  const id = record.container
  const { network, name } = record.arguments as { network: string; name: string }
  const container = engine.containers.get(id)
  const finish = record.name === 'disconnect'
  let sandbox: Container['state']['sandbox']
  if (container && isAlive(container) && (finish || !container.endpoints[name])) {
    sandbox = await engine.lower.network['endpoint.disconnect']({ id, network, force: true })
  }
  engine.jobs.close(record, finish ? 'done' : 'failed', 'the engine was restarted while it ran; undone', () => {
    if (container && finish) recordDisconnect(engine, id, name, sandbox)
  })
}
