import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { syscallFn } from './libc.ts'
import { openNetlinkGroup } from './netlink-group.ts'
import { Nft } from './nft.ts'

const NETLINK_NETFILTER = 12
const NFNLGRP_NFTABLES = 7
const CLONE_NEWNET = 0x40000000

before(() => void syscallFn('int unshare(int flags)')(CLONE_NEWNET))

test('changes of others are told', async () => {
  const nft = new Nft()
  const told: Buffer[] = []
  const group = openNetlinkGroup(
    NETLINK_NETFILTER,
    NFNLGRP_NFTABLES,
    65536,
    (messages) => told.push(messages),
    () => assert.fail('lost'),
  )
  nft.run('add table inet seen')
  await sleep(50)
  assert.ok(Buffer.concat(told).includes('seen\0'))
  group.close()
  told.length = 0
  nft.run('add table inet unseen')
  await sleep(50)
  assert.deepEqual(told, [], 'nothing after it was closed')
  nft.close()
})

test('more than the socket holds: it is told once that something was lost', async () => {
  const nft = new Nft()
  let lost = 0
  openNetlinkGroup(
    NETLINK_NETFILTER,
    NFNLGRP_NFTABLES,
    4096,
    () => undefined,
    () => void lost++,
  )
  nft.run('add table inet many')
  nft.run('add set inet many s { type inet_service; }')
  for (let i = 0; i < 10; i++) {
    const ports = Array.from({ length: 1000 }, (_, k) => i * 1000 + k + 1)
    nft.run(`add element inet many s { ${ports.join(',')} }`)
  }
  await sleep(100)
  assert.equal(lost, 1)
  nft.close()
})
