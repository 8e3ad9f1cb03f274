import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Query } from './query.ts'
import { parseTimestamp } from './timestamp.ts'
import { stripVersion, versionOf } from './version.ts'

test('booleans as the Docker daemon reads them', () => {
  const bool = (text: string) => new Query({ a: text }).bool('a', true)
  for (const text of ['1', 'true', 'True', 'yes', 'anything']) assert.equal(bool(text), true, text)
  for (const text of ['', '0', 'no', 'false', 'FALSE', 'none', ' 0 ']) assert.equal(bool(text), false, text)
  assert.equal(new Query({}).bool('a'), false)
  assert.equal(new Query({}).bool('a', true), true)
})

test('integers', () => {
  assert.equal(new Query({ a: '-1' }).int('a'), -1)
  assert.equal(new Query({ a: '' }).int('a'), undefined)
  for (const text of ['x', '1.5', '1e3', '99999999999999999999', '0x10']) {
    assert.throws(() => new Query({ a: text }).int('a'), /query parameter a/, text)
  }
})

test('a name given twice', () => {
  const query = new Query({ a: ['1', '2'] })
  assert.equal(query.text('a'), '1')
  assert.deepEqual(query.list('a'), ['1', '2'])
  assert.deepEqual(query.list('b'), [])
})

test('timestamps', () => {
  const now = 1_700_000_000_000
  const parse = (text: string) => parseTimestamp(text, 'since', now)
  assert.equal(parse('1700000000'), 1_700_000_000)
  assert.equal(parse('1700000000.250000000'), 1_700_000_000.25)
  assert.equal(parse('2023-11-14T22:13:20Z'), 1_700_000_000)
  assert.equal(parse('2023-11-14T23:13:20.5+01:00'), 1_700_000_000.5)
  assert.equal(parse('10m'), 1_699_999_400)
  assert.equal(parse('1h30m0.5s'), 1_700_000_000 - 5400.5)
  for (const text of ['yesterday', '10', '10x', '2023-99-99']) {
    if (text === '10') assert.equal(parse(text), 10)
    else assert.throws(() => parse(text), /since/, text)
  }
})

test('versions', () => {
  assert.equal(versionOf('/info'), 51)
  assert.equal(versionOf('/v1.30/info?x=/v1.99/'), 30)
  assert.equal(stripVersion('/v1.30/info?x=1'), '/info?x=1')
  assert.equal(stripVersion('/volumes/v1.30'), '/volumes/v1.30')
  assert.equal(stripVersion('/v1.30'), '/')
  for (const url of ['/v1.23/info', '/v0.9/info', '/v1/info']) assert.throws(() => versionOf(url), /too old/, url)
  for (const url of ['/v1.52/info', '/v2/info', '/v1.100/x']) assert.throws(() => versionOf(url), /too new/, url)
})
