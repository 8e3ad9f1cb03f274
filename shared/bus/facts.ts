import { AckPolicy, DeliverPolicy, type JetStreamClient, type JetStreamManager, nanos } from 'nats'
import { Compile } from 'typebox/compile'
import { facts, type FactName } from '../contracts/index.ts'
import type { Logger } from '../log/index.ts'
import { decode } from './codec.ts'
import { factPrefix, FACTS_STREAM } from './subjects.ts'

const RETRY_MS = 500

const checks = new Map(Object.entries(facts).map(([name, schema]) => [name, Compile(schema)]))

/**
 * Hears facts as a durable consumer: one that was not handled (its handler rejected, or the process died) comes again. Handlers start in
 * order; a slow one does not hold up those of other containers.
 */
export async function hearFacts(
  js: JetStreamClient,
  manager: JetStreamManager,
  node: string,
  durable: string,
  handle: (name: FactName, fact: unknown) => Promise<void>,
  log: Logger,
): Promise<{ stop(): Promise<void> }> {
  const prefix = factPrefix(node)
  await manager.consumers.add(FACTS_STREAM, {
    durable_name: durable,
    filter_subject: `${prefix}>`,
    ack_policy: AckPolicy.Explicit,
    deliver_policy: DeliverPolicy.All,
    ack_wait: nanos(30_000),
    max_ack_pending: 1000,
  })
  const consumer = await js.consumers.get(FACTS_STREAM, durable)
  const messages = await consumer.consume({ max_messages: 200 })
  const underWay = new Set<Promise<void>>()

  const pump = async (): Promise<void> => {
    for await (const message of messages) {
      const name = message.subject.slice(prefix.length)
      const fact = decode(message.data)
      if (!checks.get(name)?.Check(fact)) {
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
  const pumping = pump().catch((error: unknown) => log.error({ err: error }, 'hearing facts ended'))
  return {
    async stop() {
      await messages.close()
      await pumping
      await Promise.allSettled(underWay)
    },
  }
}
