import assert from 'node:assert/strict'
import { test } from 'node:test'
import { shape } from './replies.ts'
import { modernize, modernizeUpdate, type CreateRequest, type UpdateRequest } from './requests.ts'

const container = () => ({
  Id: 'abcdefabcdefabcdef',
  ImageManifestDescriptor: {},
  Config: {},
  HostConfig: { NetworkMode: 'net' },
  NetworkSettings: {
    Networks: { net: { Aliases: null, DNSNames: ['a'], GwPriority: 1, MacAddress: '02:00:00:00:00:01' } },
  },
})

test('the newest form is left alone', () => {
  assert.deepEqual(shape('container inspect', 51, container()), container())
})

test('what only older clients are to see is hidden from newer ones', () => {
  const reply = (api: number) => shape('container inspect', api, { Config: { MacAddress: 'm', User: '' } })['Config']
  assert.deepEqual([reply(43), reply(44)], [{ MacAddress: 'm', User: '' }, { User: '' }])
})

test('a list for a client that does not know health, and an event that is about nothing', () => {
  assert.deepEqual(shape('container list', 51, { Health: {} }), {})
  const event = { Type: 'container', Action: 'prune', Actor: { ID: '', Attributes: {} } }
  assert.deepEqual(shape('event', 51, { ...event }), { ...event, status: 'prune' })
})

test('an inspect for an older client', () => {
  const old = shape('container inspect', 41, container())
  assert.deepEqual(old, {
    Id: 'abcdefabcdefabcdef',
    Config: {},
    HostConfig: { NetworkMode: 'net', KernelMemory: 0, KernelMemoryTCP: 0 },
    NetworkSettings: { Networks: { net: { Aliases: ['abcdefabcdef'], MacAddress: '02:00:00:00:00:01' } } },
  })
})

test('a reply without the members that a rule is about is no trouble', () => {
  for (const kind of ['container inspect', 'container list', 'image list', 'image inspect', 'info', 'event'] as const) {
    shape(kind, 24, {})
    shape(kind, 24, { NetworkSettings: null, HostConfig: 3 })
  }
})

test('defaults that older clients rely on', () => {
  const request: CreateRequest = { Image: 'i', HostConfig: { Annotations: { a: 'b' }, ConsoleSize: [1, 2] } }
  assert.deepEqual(modernize(request, 39), [])
  assert.deepEqual(request, { Image: 'i', HostConfig: { IpcMode: 'shareable' } })
})

test('kernel memory is discarded with a warning, and ignored from API 1.42 on', () => {
  for (const api of [41, 42]) {
    const request: CreateRequest = {
      Image: 'i',
      HostConfig: { KernelMemory: 1 << 26, Memory: 1 << 27, IpcMode: 'private' },
    }
    const warnings = api < 42 ? [/kernel memory limit capabilities.*Limitation discarded/] : []
    const given = modernize(request, api)
    assert.equal(given.length, warnings.length)
    warnings.forEach((w, i) => assert.match(given[i] ?? '', w))
    assert.deepEqual(request.HostConfig, { Memory: 1 << 27, IpcMode: 'private' })
    const change: UpdateRequest = { KernelMemory: 1 << 26, PidsLimit: 0 }
    assert.equal(modernizeUpdate(change, api).length, warnings.length)
    assert.deepEqual(change, { PidsLimit: 0 })
  }
  const change: UpdateRequest = { PidsLimit: 0, KernelMemory: 0 }
  assert.deepEqual(modernizeUpdate(change, 39), [])
  assert.deepEqual(change, {}, 'older clients say 0 where they mean nothing')
})

test('the MAC address moves from the container to its endpoint', () => {
  const old: CreateRequest = { MacAddress: 'm' }
  assert.deepEqual(modernize(old, 43), [])
  assert.deepEqual(old.NetworkingConfig, { EndpointsConfig: { default: { MacAddress: 'm' } } })
  const request: CreateRequest = { MacAddress: 'm', HostConfig: { NetworkMode: 'net' } }
  assert.match(modernize(request, 44)[0] ?? '', /deprecated/)
  assert.deepEqual(request.NetworkingConfig, { EndpointsConfig: { net: { MacAddress: 'm' } } })
  assert.deepEqual(modernize(request, 44), [])
  assert.throws(() => modernize({ ...request, MacAddress: 'other' }, 44), /must match/)
})
