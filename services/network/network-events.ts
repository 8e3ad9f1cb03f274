import type { NewEvent } from '../../shared/store/index.ts'
import type { NetworkRecord } from './records.ts'

/** Docker's network events; `container` is named when one is connected or disconnected. */
export const networkEvent = (
  action: 'create' | 'destroy' | 'connect' | 'disconnect',
  network: NetworkRecord,
  container?: string,
): NewEvent => ({
  type: 'network',
  action,
  id: network.id,
  attributes: {
    name: network.name,
    type: network.driver,
    ...(container === undefined ? {} : { container }),
  },
})

/** Docker's event at the end of a prune; networks take no space. */
export const pruneEvent: NewEvent = { type: 'network', action: 'prune', id: '', attributes: { reclaimed: '0' } }
