import { withoutDevice } from '../../../shared/drivers/index.ts'

/** Containers with loopback alone. The network is called `none`; `null` is the driver's name in Docker's API. */
export default withoutDevice('null', 'none')
