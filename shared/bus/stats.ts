import type { NatsConnection } from 'nats'
import { Compile, type Validator } from 'typebox/compile'
import { StatsSample } from '../contracts/index.ts'
import type { Logger } from '../log/index.ts'
import { decode } from './codec.ts'
import { statsSubject } from './subjects.ts'

/** Texts of parts of samples. A part that did not change comes again as the same object (plugins/cgroup). */
const texts = new WeakMap<object, string>()

const textOf = (value: object): string => {
  let text = texts.get(value)
  if (text === undefined) texts.set(value, (text = JSON.stringify(value)))
  return text
}

/** A sample as JSON. */
export function encodeSample(sample: StatsSample): Uint8Array {
  const members: string[] = []
  for (const [name, value] of Object.entries(sample)) {
    members.push(`"${name}":${typeof value === 'object' ? textOf(value) : JSON.stringify(value)}`)
  }
  return Buffer.from(`{${members.join()}}`)
}

/** Compiled for the first listener: most processes never have one. */
let check: Validator | undefined

/** Hears the samples of all containers from now on. One of unknown form, and one on which `handle` fails, is logged and dropped. */
export function hearStats(
  connection: NatsConnection,
  node: string,
  handle: (sample: StatsSample) => void,
  log: Logger,
): { stop(): Promise<void> } {
  const form = (check ??= Compile(StatsSample))
  const subscription = connection.subscribe(statsSubject(node, '*'), {
    callback(error, message) {
      try {
        if (error) throw error
        const sample = decode(message.data)
        if (form.Check(sample)) handle(sample as StatsSample)
        else log.error({ subject: message.subject }, 'a sample of unknown form is dropped')
      } catch (failure) {
        log.error({ err: failure }, 'a sample is dropped')
      }
    },
  })
  return {
    async stop() {
      subscription.unsubscribe()
    },
  }
}
