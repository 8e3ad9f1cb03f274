import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isKind } from '../errors/index.ts'
import { mergeResources } from './merge.ts'

test('what is named replaces, 0 and null name nothing', () => {
  const set = { Memory: 100, MemorySwap: 200, PidsLimit: 5, CpusetCpus: '0', OomKillDisable: true }
  const change = { Memory: 0, MemorySwap: 300, CpusetCpus: '', CpuShares: 7, OomKillDisable: false, PidsLimit: null }
  assert.deepEqual(mergeResources(set, change), { ...set, MemorySwap: 300, CpuShares: 7, OomKillDisable: false })
})

test('a pids limit of 0 or -1 is unlimited', () => {
  assert.equal(mergeResources({ PidsLimit: 5 }, { PidsLimit: 0 }).PidsLimit, 0)
  assert.equal(mergeResources({ PidsLimit: 5 }, { PidsLimit: -1 }).PidsLimit, -1)
})

test('a list replaces the earlier one, an empty list too', () => {
  const list = [{ Path: '/dev/vda', Rate: 1 }]
  assert.deepEqual(mergeResources({ BlkioDeviceReadBps: list }, {}).BlkioDeviceReadBps, list)
  assert.deepEqual(mergeResources({ BlkioDeviceReadBps: list }, { BlkioDeviceReadBps: [] }).BlkioDeviceReadBps, [])
})

test('what cannot be together is a conflict, in the words of Docker', () => {
  const cases = [
    [{ CpuPeriod: 1 }, { NanoCpus: 1 }, /Nano CPUs cannot be updated as CPU Period has already been set/],
    [{ CpuQuota: 1 }, { NanoCpus: 1 }, /Nano CPUs cannot be updated as CPU Quota has already been set/],
    [{ NanoCpus: 1 }, { CpuPeriod: 1 }, /CPU Period cannot be updated as NanoCPUs has already been set/],
    [{ NanoCpus: 1 }, { CpuQuota: 1 }, /CPU Quota cannot be updated as NanoCPUs has already been set/],
    [{ Memory: 1, MemorySwap: 2 }, { Memory: 3 }, /Memory limit should be smaller than already set memoryswap limit/],
    [{}, { Memory: 3 }, /Memory limit should be smaller than already set memoryswap limit/],
    [{ Memory: 1, MemorySwap: -1 }, { Memory: 3 }, /Memory limit should be smaller than already set memoryswap limit/],
  ] as const
  for (const [set, change, message] of cases) {
    assert.throws(
      () => mergeResources(set, change),
      (e) => isKind(e, 'conflict') && message.test(e.message),
    )
  }
  assert.deepEqual(mergeResources({}, { MemorySwap: 4, Memory: 3 }), { MemorySwap: 4, Memory: 3 })
  assert.deepEqual(mergeResources({ Memory: 1, MemorySwap: 2 }, { Memory: 2 }), { MemorySwap: 2, Memory: 2 })
})
