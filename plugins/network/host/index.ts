import { withoutDevice } from '../../../shared/drivers/index.ts'

/** Containers without a network namespace of their own: they see the host's interfaces. */
export default withoutDevice('host', 'host')
