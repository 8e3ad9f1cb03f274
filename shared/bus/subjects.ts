export const verbSubject = (node: string, service: string, verb: string): string => `gantry.${node}.${service}.${verb}`
export const eventSubjects = (node: string): string => `gantry.${node}.events.>`
export const factPrefix = (node: string): string => `gantry.${node}.facts.`
export const changesSubject = (node: string, service: string): string => `gantry.${node}.changes.${service}`
export const statsSubject = (node: string, id: string): string => `gantry.${node}.stats.${id}`

export const EVENTS_STREAM = 'EVENTS'
export const FACTS_STREAM = 'FACTS'

/** Set on a reply that is an error: its kind; the body is the error's wire form. */
export const ERROR_HEADER = 'Gantry-Error'
export const JOB_HEADER = 'Gantry-Job'
/** The caller's id of a request: sent again, it has the same. */
export const REQUEST_HEADER = 'Gantry-Request'
/** https://www.w3.org/TR/trace-context/ */
export const TRACE_HEADER = 'traceparent'
