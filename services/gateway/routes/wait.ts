import { setTimeout as delay } from 'node:timers/promises'
import { invalid, isKind } from '../../../shared/errors/index.ts'
import type { Backend } from '../backend.ts'
import { STREAMED, type Handler } from '../http/route.ts'
import { startReply } from '../streams/reply.ts'

const CONDITIONS = ['not-running', 'next-exit', 'removed'] as const
type Condition = (typeof CONDITIONS)[number]

/** How long the engine may be away before a wait gives up. */
const PATIENCE_MS = 30_000
const PAUSE_MS = 250

/**
 * Waits for a container. The header goes out as soon as the engine has noted the wait (`docker run` starts the container
 * only then), the exit code when the condition has come true; a restart of the engine between is bridged.
 */
export const wait: Handler = async (call, { engine }) => {
  const ref = call.param('id')
  const condition = conditionOf(call.query.text('condition'))
  const first = await engine['container.wait']({ ref, condition })
  const sink = startReply(call, 'application/json')
  const { ticket } = first
  const outcome = first.done ? outcomeOf(first) : await poll(engine, { ref, condition, ticket }, call.over)
  if (outcome) sink.end(`${JSON.stringify(outcome)}\n`)
  return STREAMED
}

function conditionOf(text: string): Condition {
  if (text === '') return 'not-running'
  const condition = CONDITIONS.find((c) => c === text)
  if (!condition) throw invalid(`invalid condition: "${text}"; it is one of ${CONDITIONS.join(', ')}`)
  return condition
}

interface Outcome {
  StatusCode: number
  Error?: { Message: string }
}

const outcomeOf = ({ exitCode, error }: { exitCode?: number; error?: string }): Outcome => ({
  StatusCode: exitCode ?? 0,
  ...(error === undefined ? {} : { Error: { Message: error } }),
})

/** Asks again and again until the condition is true; undefined when the client has gone. */
async function poll(
  engine: Backend['engine'],
  request: { ref: string; condition: Condition; ticket: string },
  over: AbortSignal,
): Promise<Outcome | undefined> {
  let awaySince: number | undefined
  while (!over.aborted) {
    try {
      const reply = await engine['container.wait'](request)
      awaySince = undefined
      if (reply.done) return outcomeOf(reply)
      continue
    } catch (error) {
      awaySince ??= Date.now()
      if (!isKind(error, 'unavailable') || Date.now() - awaySince > PATIENCE_MS) {
        return { StatusCode: 125, Error: { Message: (error as Error).message } }
      }
    }
    await delay(PAUSE_MS)
  }
  return undefined
}
