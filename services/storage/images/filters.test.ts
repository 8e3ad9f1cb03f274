import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { booleanFilter, checkFilters, hasLabels, lacksLabels, patternToRegExp, untilFilter } from './filters.ts'

describe('filters', () => {
  it('unknown ones are refused by name', () => {
    checkFilters({ label: ['x'] }, ['label'])
    assert.throws(() => checkFilters({ nope: ['x'] }, ['label']), /invalid filter 'nope'/)
  })

  it('booleans', () => {
    assert.equal(booleanFilter({}, 'dangling'), undefined)
    assert.equal(booleanFilter({ dangling: ['true'] }, 'dangling'), true)
    assert.equal(booleanFilter({ dangling: ['0'] }, 'dangling'), false)
    assert.throws(() => booleanFilter({ dangling: ['maybe'] }, 'dangling'), /invalid filter 'dangling=\[maybe\]'/)
    assert.throws(() => booleanFilter({ dangling: ['0', '1'] }, 'dangling'), /invalid filter/)
  })

  it('labels', () => {
    const labels = { a: '1', b: '' }
    assert.ok(hasLabels(labels, undefined))
    assert.ok(hasLabels(labels, ['a', 'b=']))
    assert.ok(!hasLabels(labels, ['a=2']))
    assert.ok(!hasLabels(labels, ['toString']))
    assert.ok(lacksLabels(labels, ['a=2', 'c']))
    assert.ok(!lacksLabels(labels, ['c', 'a']))
  })

  it('until: times and durations', () => {
    assert.equal(untilFilter({}), undefined)
    assert.equal(untilFilter({ until: ['1000'] }), 1_000_000)
    assert.equal(untilFilter({ until: ['2001-09-09T01:46:40Z'] }), 1_000_000_000_000)
    assert.equal(untilFilter({ until: ['1h30m'] }, 10_000_000), 10_000_000 - 5_400_000)
    assert.throws(() => untilFilter({ until: ['soon'] }), /until=soon/)
    assert.throws(() => untilFilter({ until: ['1', '2'] }), /more than one/)
  })

  it('patterns are those of path.Match', () => {
    assert.ok(patternToRegExp('busy*:latest').test('busybox:latest'))
    assert.ok(!patternToRegExp('*').test('a/b'))
    assert.ok(patternToRegExp('*/b?').test('a/bc'))
    assert.ok(patternToRegExp('[a-c]x').test('bx'))
    assert.ok(!patternToRegExp('a.c').test('abc'))
    assert.ok(patternToRegExp('a\\*c').test('a*c'))
    assert.throws(() => patternToRegExp('[a'), /syntax error in pattern/)
  })
})
