import { superviseHere } from './foreground.ts'
import type { SupervisorPlan } from './supervisor.ts'

/** The supervisor as a process of its own, started by `gantry up` with its plan in GANTRY_SUPERVISOR_PLAN. */
const plan = process.env['GANTRY_SUPERVISOR_PLAN']
if (plan === undefined) throw new Error('GANTRY_SUPERVISOR_PLAN is not set: start the engine with `gantry up`')
delete process.env['GANTRY_SUPERVISOR_PLAN']
// The terminal that started it may go away.
process.on('SIGHUP', () => undefined)
superviseHere(JSON.parse(plan) as SupervisorPlan)
