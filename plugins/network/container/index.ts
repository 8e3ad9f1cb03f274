import { withoutDevice } from '../../../shared/drivers/index.ts'

/**
 * Containers in the sandbox of another (`--network container:NAME`). The sandbox is the network service's, which counts
 * its users: it outlives its first one's processes.
 */
export default withoutDevice('container', 'joined')
