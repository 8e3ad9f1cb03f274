import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestGateway } from './gateway.ts'

/** What a JSON reply must look like: every member named here, text by regular expression where one is given. */
export type Expected = RegExp | string | number | boolean | null | Expected[] | { [key: string]: Expected }

export function matches(actual: unknown, expected: Expected, path = ''): void {
  if (expected instanceof RegExp) assert.match(String(actual), expected, path)
  else if (Array.isArray(expected)) {
    assert(Array.isArray(actual), `${path} is a list`)
    assert.equal(actual.length, expected.length, `${path} has as many items`)
    expected.forEach((e, i) => matches((actual as unknown[])[i], e, `${path}[${i}]`))
  } else if (expected !== null && typeof expected === 'object') {
    assert(actual !== null && typeof actual === 'object', `${path} is an object`)
    for (const [key, e] of Object.entries(expected))
      matches((actual as Record<string, unknown>)[key], e, `${path}.${key}`)
  } else assert.strictEqual(actual, expected, path)
}

/** One line, one test: `t('GET', '/networks/nope', 404, { message: /not found/ })`. */
export const tester =
  (gateway: () => TestGateway) =>
  (method: string, path: string, status: number, expected?: Expected, body?: unknown): void => {
    test(`${method} ${path} ${status}${body === undefined ? '' : ` ${JSON.stringify(body).slice(0, 60)}`}`, async () => {
      const reply = await gateway().send(method, path, body)
      assert.equal(reply.status, status, reply.text)
      if (expected !== undefined) matches(reply.json, expected)
    })
  }
