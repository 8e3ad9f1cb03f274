import {
  AckPolicy,
  type ConsumerMessages,
  DeliverPolicy,
  type JetStreamClient,
  type JetStreamManager,
  nanos,
  NatsError,
} from 'nats'
import { Compile } from 'typebox/compile'
import { facts, type FactName } from '../contracts/index.ts'
import { lazy } from '../lazy.ts'
import type { Logger } from '../log/index.ts'
import { decode } from './codec.ts'
import { factPrefix, FACTS_STREAM } from './subjects.ts'

const RETRY_MS = 500
const NOT_FOUND = 404

const checks = new Map(Object.entries(facts).map(([name, schema]) => [name, lazy(() => Compile(schema))]))

/**
 * Hears facts as a durable consumer: one that was not handled (its handler rejected, or the process died) comes again. Handlers start in
 * order; a slow one does not hold up those of other containers.
 *
 * `restore` makes the consumer anew when the server has lost it; true when that was so.
 */
export async function hearFacts(
  js: JetStreamClient,
  manager: JetStreamManager,
  node: string,
  durable: string,
  handle: (name: FactName, fact: unknown) => Promise<void>,
  log: Logger,
): Promise<{ stop(): Promise<void>; restore(): Promise<boolean> }> {
  const prefix = factPrefix(node)
  const begin = async (): Promise<ConsumerMessages> => {
    await manager.consumers.add(FACTS_STREAM, {
      durable_name: durable,
      filter_subject: `${prefix}>`,
      ack_policy: AckPolicy.Explicit,
      deliver_policy: DeliverPolicy.All,
      ack_wait: nanos(30_000),
      max_ack_pending: 1000,
    })
    const consumer = await js.consumers.get(FACTS_STREAM, durable)
    return consumer.consume({ max_messages: 200 })
  }
  const underWay = new Set<Promise<void>>()

  const pump = async (messages: ConsumerMessages): Promise<void> => {
    for await (const message of messages) {
      const name = message.subject.slice(prefix.length)
      const fact = decode(message.data)
      if (!checks.get(name)?.().Check(fact)) {
        log.error({ subject: message.subject }, 'a fact of unknown form is dropped')
        message.term()
        continue
      }
      const work = handle(name as FactName, fact)
        .then(
          () => message.ack(),
          (error: unknown) => {
            log.warn({ err: error, name }, 'fact not handled; it will come again')
            message.nak(RETRY_MS)
          },
        )
        .finally(() => underWay.delete(work))
      underWay.add(work)
    }
  }
  const hear = (messages: ConsumerMessages): Promise<void> =>
    pump(messages).catch((error: unknown) => log.error({ err: error }, 'hearing facts ended'))

  let messages = await begin()
  let pumping = hear(messages)
  let stopped = false
  // Remembered over attempts: one may make the consumer and then fail to hear it.
  let lost = false
  return {
    async restore() {
      if (stopped) return false
      lost ||= !(await isThere(manager, durable))
      if (!lost) return false
      const old = messages
      messages = await begin()
      lost = false
      pumping = Promise.all([pumping, hear(messages)]).then(() => undefined)
      await old.close()
      if (stopped) await messages.close()
      log.warn({ durable }, 'the bus had lost who hears its facts')
      return true
    },
    async stop() {
      stopped = true
      await messages.close()
      await pumping
      await Promise.allSettled(underWay)
    },
  }
}

async function isThere(manager: JetStreamManager, durable: string): Promise<boolean> {
  try {
    await manager.consumers.info(FACTS_STREAM, durable)
    return true
  } catch (error) {
    if (error instanceof NatsError && error.api_error?.code === NOT_FOUND) return false
    throw error
  }
}
