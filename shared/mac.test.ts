import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseMac } from './mac.ts'

test('one spelling of a MAC address for all that Docker takes', () => {
  for (const text of ['02:42:ac:11:00:0A', '02-42-AC-11-00-0a', '0242.ac11.000a'])
    assert.equal(parseMac(text), '02:42:ac:11:00:0a', text)
  for (const text of [
    '',
    '02:42:ac:11:00',
    '02:42-ac:11:00:0a',
    '0242:ac11:000a',
    '02:42:ac:11:00:0g',
    '02:42:ac:11:00:0a:01:02',
  ])
    assert.equal(parseMac(text), undefined, text)
})
