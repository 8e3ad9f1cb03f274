import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { isKind } from '../../../shared/errors/index.ts'
import { canonical, familiar, idPrefixOf, parseReference, referenceOf, withDefaultTag } from './reference.ts'

const HEX = 'a'.repeat(64)

describe('image references', () => {
  // What the user writes, what is stored, what is shown.
  const good: [string, string, string][] = [
    ['busybox', 'docker.io/library/busybox:latest', 'busybox:latest'],
    ['busybox:1.36', 'docker.io/library/busybox:1.36', 'busybox:1.36'],
    ['user/app', 'docker.io/user/app:latest', 'user/app:latest'],
    ['docker.io/library/busybox', 'docker.io/library/busybox:latest', 'busybox:latest'],
    ['index.docker.io/busybox', 'docker.io/library/busybox:latest', 'busybox:latest'],
    ['localhost/app', 'localhost/app:latest', 'localhost/app:latest'],
    ['localhost:5000/a/b:t', 'localhost:5000/a/b:t', 'localhost:5000/a/b:t'],
    ['reg.example/x', 'reg.example/x:latest', 'reg.example/x:latest'],
    ['Upper/app', 'Upper/app:latest', 'Upper/app:latest'],
    ['[::1]:5000/app', '[::1]:5000/app:latest', '[::1]:5000/app:latest'],
    ['a--b/c__d.e', 'docker.io/a--b/c__d.e:latest', 'a--b/c__d.e:latest'],
    [`app@sha256:${HEX}`, `docker.io/library/app@sha256:${HEX}`, `app@sha256:${HEX}`],
    [`app:1@sha256:${HEX}`, `docker.io/library/app:1@sha256:${HEX}`, `app:1@sha256:${HEX}`],
    ['library/x/y', 'docker.io/library/x/y:latest', 'library/x/y:latest'],
  ]
  for (const [text, stored, shown] of good) {
    it(text, () => {
      const ref = withDefaultTag(parseReference(text))
      assert.equal(canonical(ref), stored)
      assert.equal(familiar(ref), shown)
      assert.deepEqual(parseReference(stored), ref)
    })
  }

  const bad: [string, RegExp][] = [
    ['', /^invalid reference format$/],
    ['Busybox', /invalid reference format: repository name \(library\/Busybox\) must be lowercase/],
    ['a b', /^invalid reference format$/],
    ['a:', /^invalid reference format$/],
    [':tag', /^invalid reference format$/],
    ['a:b:c', /^invalid reference format$/],
    ['a//b', /^invalid reference format$/],
    ['/a', /^invalid reference format$/],
    ['a/', /^invalid reference format$/],
    ['-a', /^invalid reference format$/],
    ['a___b', /^invalid reference format$/],
    ['../etc', /^invalid reference format$/],
    [`a:${'t'.repeat(129)}`, /^invalid reference format$/],
    ['a@sha256:123', /^invalid reference format$/],
    [`a@sha256:${'A'.repeat(64)}`, /invalid checksum digest/],
    [`a@md5:${'a'.repeat(32)}`, /unsupported digest algorithm/],
    [HEX, /cannot specify 64-byte hexadecimal strings/],
    ['x'.repeat(256), /must not be more than 255 characters/],
  ]
  for (const [text, message] of bad) {
    it(`refuses ${JSON.stringify(text.slice(0, 40))}`, () => {
      assert.throws(
        () => parseReference(text),
        (error: unknown) => isKind(error, 'invalid') && message.test(error.message),
      )
    })
  }

  it('takes repository and tag apart, as API parameters have them', () => {
    assert.equal(canonical(referenceOf('app', '')), 'docker.io/library/app:latest')
    assert.equal(canonical(referenceOf('app', '2')), 'docker.io/library/app:2')
    assert.equal(canonical(referenceOf('app:1', '')), 'docker.io/library/app:1')
    assert.equal(canonical(referenceOf('r:5000/app', '2')), 'r:5000/app:2')
    assert.throws(() => referenceOf('app', 'bad tag'), /invalid reference format/)
    assert.throws(() => referenceOf(`app@sha256:${HEX}`, ''), /refusing to create a tag with a digest reference/)
  })

  it('knows ids from names', () => {
    assert.equal(idPrefixOf('abc123'), 'abc123')
    assert.equal(idPrefixOf('sha256:abc'), 'abc')
    assert.equal(idPrefixOf('xyz'), undefined)
    assert.equal(idPrefixOf('abc:latest'), undefined)
  })
})
