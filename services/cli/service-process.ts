import { reportFailure } from './fail.ts'
import { service } from './service.ts'

/** `gantry service <name...>` as the supervisor starts it: without the rest of the command, which would only take memory. */
await service(process.argv.slice(2)).catch(reportFailure)
