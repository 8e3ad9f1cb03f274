import type { Route } from '../http/route.ts'
import { containers } from './containers.ts'
import { eventRoutes } from './events.ts'
import { execs } from './exec.ts'
import { images } from './images.ts'
import { metrics } from './metrics.ts'
import { networks } from './networks.ts'
import { missing } from './not-implemented.ts'
import { plugins } from './plugins.ts'
import { system } from './system.ts'
import { volumes } from './volumes.ts'

/** The whole API, one table a resource. */
export const routes: readonly Route[] = [
  ...system,
  ...containers,
  ...execs,
  ...images,
  ...networks,
  ...volumes,
  ...eventRoutes,
  ...plugins,
  ...metrics,
  ...missing,
]
