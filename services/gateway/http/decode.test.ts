import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isKind } from '../../../shared/errors/index.ts'
import { ContainerCreate } from '../schemas/container.ts'
import { decode } from './decode.ts'

const read = (value: unknown) => decode(ContainerCreate, value)

test('null is absent, also deep inside', () => {
  assert.deepEqual(read({ Image: null, Cmd: ['a'], HostConfig: { Memory: null, Binds: null } }), {
    Cmd: ['a'],
    HostConfig: {},
  })
  assert.deepEqual(read(null), {})
})

test('null in a map or list is the zero value: the key still counts', () => {
  const body = {
    Volumes: { '/v': null },
    Labels: { a: null },
    HostConfig: { PortBindings: { '80/tcp': null } },
    Env: [null],
  }
  assert.deepEqual(read(body), {
    Volumes: { '/v': {} },
    Labels: { a: '' },
    HostConfig: { PortBindings: { '80/tcp': [] } },
    Env: [''],
  })
})

test('member names are matched without regard to case; unknown ones pass', () => {
  assert.deepEqual(read({ image: 'i', hostconfig: { memory: 5 }, Foo: [1] }), {
    Image: 'i',
    HostConfig: { Memory: 5 },
    Foo: [1],
  })
})

test('a command may be one string', () => {
  assert.deepEqual(read({ Cmd: 'true', Entrypoint: ['a', 'b'] }), { Cmd: ['true'], Entrypoint: ['a', 'b'] })
})

test('hostile member names are data', () => {
  const body = JSON.parse('{"__proto__": {"Image": "x"}, "constructor": 1, "Labels": {"__proto__": "a"}}') as unknown
  const result = read(body)
  assert.equal(result.Image, undefined)
  assert.equal(Object.getPrototypeOf(result), Object.prototype)
  assert.deepEqual(Object.keys(result.Labels ?? {}), ['__proto__'])
})

for (const [value, message] of [
  [{ HostConfig: { Memory: '1g' } }, /HostConfig\.Memory must be an integer, not "1g"/],
  [{ HostConfig: { Memory: 1.5 } }, /HostConfig\.Memory must be an integer, not 1\.5/],
  [{ HostConfig: { Memory: 1e300 } }, /HostConfig\.Memory must be a 64-bit integer/],
  [
    { HostConfig: { PortBindings: { '80/tcp': [{ HostPort: 80 }] } } },
    /PortBindings\.80\/tcp\[0\]\.HostPort must be a string, not 80/,
  ],
  [{ Tty: 1 }, /Tty must be a boolean/],
  [{ Env: {} }, /Env must be a list/],
  [{ Env: 'A=b' }, /Env must be a list/],
  [{ HostConfig: [] }, /HostConfig must be an object/],
  ['text', /the body must be an object, not "text"/],
] as const) {
  test(`refused: ${JSON.stringify(value)}`, () => {
    assert.throws(
      () => read(value),
      (error) => isKind(error, 'invalid') && message.test(error.message),
    )
  })
}
