import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { Store } from './store.ts'

const FIRST = 'CREATE TABLE t (x INTEGER) STRICT'

function file(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'gantry-store-'))
  t.after(() => rmSync(dir, { recursive: true }))
  return join(dir, 'a', 'b.db')
}

test('migrations are applied once, in order, and the file is private', (t) => {
  const path = file(t)
  new Store(path, [FIRST], 'n').close()
  const store = new Store(path, [FIRST, 'ALTER TABLE t ADD COLUMN y TEXT'], 'n')
  store.run('INSERT INTO t VALUES (?, ?)', 1, 'a')
  assert.deepEqual({ ...store.get<{ x: number; y: string }>('SELECT * FROM t') }, { x: 1, y: 'a' })
  assert.equal(statSync(path).mode & 0o777, 0o600)
  store.close()
})

test('a failed migration leaves the version before it', (t) => {
  const path = file(t)
  assert.throws(() => new Store(path, [FIRST, 'nonsense'], 'n'), /syntax error/)
  const store = new Store(path, [FIRST], 'n')
  assert.equal(store.all('SELECT * FROM t').length, 0)
  store.close()
})

test('a transaction is all or nothing, with its events', () => {
  const store = new Store(':memory:', [FIRST], 'n')
  let woken = 0
  store.onEmit(() => woken++)
  assert.throws(() =>
    store.transaction(() => {
      store.run('INSERT INTO t VALUES (1)')
      store.emit({ type: 'image', action: 'tag', id: 'i', attributes: {} })
      throw new Error('no')
    }),
  )
  assert.deepEqual([store.all('SELECT * FROM t').length, store.outboxAfter(0, 9).length, woken], [0, 0, 0])
  store.transaction(() => {
    store.run('INSERT INTO t VALUES (1)')
    store.transaction(() =>
      store.emit({ type: 'image', action: 'exec_start: ls -l', id: 'i', attributes: { name: 'x' } }),
    )
    assert.equal(woken, 0, 'told only after the commit')
  })
  const [row] = store.outboxAfter(0, 9)
  assert.equal(row?.subject, 'gantry.n.events.image.exec_start')
  assert.equal((JSON.parse(row?.payload ?? '') as { Action: string }).Action, 'exec_start: ls -l')
  assert.equal(woken, 1)
  store.close()
})

test('what is kept in memory follows the transaction', () => {
  const store = new Store(':memory:', [FIRST], 'n')
  const told: string[] = []
  const work = (what: string): void => {
    store.settled({ committed: () => told.push(`${what} committed`), undone: () => told.push(`${what} undone`) })
    store.run('INSERT INTO t VALUES (1)')
  }
  assert.throws(() =>
    store.transaction(() => {
      work('a')
      store.transaction(() => work('b'))
      throw new Error('no')
    }),
  )
  assert.deepEqual(told.splice(0), ['b undone', 'a undone'])
  store.transaction(() => {
    work('a')
    store.transaction(() => work('b'))
    assert.deepEqual(told, [])
  })
  assert.deepEqual(told, ['a committed', 'b committed'])
  store.close()
})

test('what follows a transaction and fails keeps neither the rest from running nor the transaction from being what it is', () => {
  const reported: unknown[] = []
  const store = new Store(':memory:', [FIRST], 'n', (error) => reported.push((error as Error).message))
  const told: string[] = []
  store.onEmit(() => told.push('emitted'))
  const follow = (name: string, fails: boolean) => () => {
    told.push(name)
    if (fails) throw new Error(`${name} fails`)
  }
  const work = (): void => {
    store.settled({ committed: follow('committed', true), undone: follow('undone', false) })
    store.settled({ committed: follow('committed too', false), undone: follow('undone too', true) })
    store.emit({ type: 'image', action: 'tag', id: 'i', attributes: {} })
  }
  store.transaction(work)
  assert.deepEqual(told.splice(0), ['committed', 'committed too', 'emitted'])
  const refused = (): void => {
    work()
    throw new Error('no')
  }
  assert.throws(() => store.transaction(refused), /^Error: no$/)
  assert.deepEqual(told, ['undone too', 'undone'])
  assert.deepEqual(reported, ['committed fails', 'undone too fails'])
  store.close()
})

test('a failure that has ended the transaction by itself is the one that is reported', () => {
  const store = new Store(':memory:', [FIRST], 'n')
  assert.throws(
    () =>
      store.transaction(() => {
        store.run('ROLLBACK')
        throw new Error('database or disk is full')
      }),
    /disk is full/,
  )
  store.transaction(() => store.run('INSERT INTO t VALUES (1)'))
  store.close()
})
