import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import type { ProcessSpec, RunRequest } from '../../../shared/contracts/index.ts'
import { isKind } from '../../../shared/errors/index.ts'
import { planCapabilities, capabilitiesIn } from './capabilities.ts'
import { planConfig, planRlimit, writeConfig, type BundleFacts } from './config.ts'
import { parseDeviceRule } from './devices.ts'
import { resolveUser } from './users.ts'

const ID = 'ab'.repeat(32)
const ALL = capabilitiesIn(0x1ffffffffffn)

type More = Partial<Omit<RunRequest, 'process'>> & { process?: Partial<ProcessSpec> }

const request = (more: More = {}): RunRequest => ({
  id: ID,
  instance: '1',
  name: 'box',
  runtime: '',
  rootfs: '/lower/merged',
  readonlyRootfs: false,
  mounts: [],
  netns: '/run/netns/a',
  cgroupsPath: `/gantry/${ID}`,
  systemdCgroup: false,
  stdin: false,
  stdinOnce: false,
  hostname: 'box',
  domainname: '',
  namespaces: {
    pid: { kind: 'private' },
    ipc: { kind: 'private' },
    uts: { kind: 'private' },
    cgroup: { kind: 'host' },
  },
  shmSize: 0,
  devices: [],
  deviceCgroupRules: [],
  sysctls: {},
  rlimits: [],
  oomScoreAdj: 0,
  seccomp: 'unconfined',
  init: false,
  annotations: {},
  log: { driver: '', options: {} },
  ...more,
  process: {
    args: ['sh'],
    env: [],
    cwd: '',
    user: '',
    groupAdd: [],
    tty: false,
    privileged: false,
    capAdd: [],
    capDrop: [],
    noNewPrivileges: false,
    ...more.process,
  },
})

const facts = (r: RunRequest, more: Partial<BundleFacts> = {}): BundleFacts => ({
  user: resolveUser(r.process.user, r.process.groupAdd, {
    passwd: 'root:x:0:0:root:/root:/bin/sh\nweb:x:1000:1000::/www:/bin/sh\n',
    group: 'root:x:0:\nweb:x:1000:\n',
  }),
  capabilities: planCapabilities(r.process, ALL),
  devices: {
    devices: [],
    rules: r.process.privileged ? [{ allow: true, access: 'rwm' }] : [{ allow: false, access: 'rwm' }],
  },
  seccomp: undefined,
  hostname: r.hostname,
  ...more,
})

/** One reviewed file for each; `GANTRY_GOLDEN=write` writes them anew. */
const golden: Record<string, { request: RunRequest; facts?: Partial<BundleFacts> }> = {
  default: { request: request() },
  privileged: { request: request({ process: { privileged: true } }) },
  'tty-user-init': {
    request: request({
      init: true,
      process: {
        tty: true,
        consoleSize: [24, 80],
        user: 'web:root',
        groupAdd: ['77'],
        cwd: '/www',
        env: ['TERM=vt100', 'A=b'],
      },
    }),
    facts: { initPath: '/usr/bin/tini' },
  },
  'host-namespaces': {
    request: request({
      netns: null,
      hostname: '',
      namespaces: { pid: { kind: 'host' }, ipc: { kind: 'host' }, uts: { kind: 'host' }, cgroup: { kind: 'host' } },
    }),
  },
  'joined-namespaces': {
    request: request({
      shmPath: '/run/shm/other',
      namespaces: {
        pid: { kind: 'path', path: '/proc/7/ns/pid' },
        ipc: { kind: 'path', path: '/proc/7/ns/ipc' },
        uts: { kind: 'private' },
        cgroup: { kind: 'private' },
      },
    }),
  },
  'limits-and-mounts': {
    request: request({
      readonlyRootfs: true,
      domainname: 'example.org',
      shmSize: 1 << 20,
      oomScoreAdj: 500,
      sysctls: { 'net.core.somaxconn': '1024' },
      rlimits: [
        { type: 'nofile', soft: 10, hard: 20 },
        { type: 'core', soft: -1, hard: -1 },
      ],
      mounts: [
        { type: 'bind', source: '/deep', destination: '/a/b/c/', options: ['rbind', 'ro'] },
        { type: 'bind', source: '/shallow', destination: '/a', options: ['rbind'] },
        { type: 'tmpfs', source: 'tmpfs', destination: '/dev/shm', options: ['size=1m'] },
      ],
      maskedPaths: [],
      readonlyPaths: ['/proc/sys'],
      annotations: { 'org.example': 'x' },
      process: { capAdd: ['net_admin'], capDrop: ['CHOWN'], noNewPrivileges: true },
    }),
  },
}

describe('OCI bundle', () => {
  for (const [name, { request: r, facts: more }] of Object.entries(golden)) {
    it(`is as reviewed: ${name}`, () => {
      const path = join(import.meta.dirname, 'golden', `${name}.json`)
      const planned: unknown = JSON.parse(writeConfig(planConfig(r, facts(r, more))))
      if (process.env['GANTRY_GOLDEN'] === 'write') writeFileSync(path, JSON.stringify(planned, null, 2))
      assert.deepEqual(planned, JSON.parse(readFileSync(path, 'utf8')))
    })
  }

  it('says infinity where a limit is unlimited, and only there', () => {
    const r = request({
      rlimits: [{ type: 'core', soft: -1, hard: -1 }],
      process: { env: ['X="soft":9007199254740991'] },
    })
    const text = writeConfig(planConfig(r, facts(r)))
    assert.match(text, /"soft":18446744073709551615,"hard":18446744073709551615/)
    assert.ok((JSON.parse(text) as { process: { env: string[] } }).process.env.includes('X="soft":9007199254740991'))
  })

  it('refuses impossible limits and paths', () => {
    assert.throws(() => planRlimit({ type: 'nope', soft: 1, hard: 1 }), /invalid ulimit type: nope/)
    assert.throws(
      () => planRlimit({ type: 'nofile', soft: 2, hard: 1 }),
      (e) => isKind(e, 'invalid'),
    )
    const r = request({ mounts: [{ type: 'bind', source: '/x', destination: 'relative', options: [] }] })
    assert.throws(() => planConfig(r, facts(r)), /mount path must be absolute/)
    assert.throws(() => parseDeviceRule('x 1:2 r'), /invalid device cgroup rule format/)
    assert.deepEqual(parseDeviceRule('c 42:* rmw'), { allow: true, type: 'c', major: 42, access: 'rmw' })
  })
})

describe('capabilities', () => {
  const plan = (capAdd: string[], capDrop: string[], available = ALL): string[] =>
    planCapabilities({ privileged: false, capAdd, capDrop }, available)

  it('are Docker’s fourteen', () => {
    assert.equal(plan([], []).length, 14)
    assert.equal(mask(plan([], [])), 0xa80425fbn)
  })
  it('are added and dropped, ALL included', () => {
    assert.deepEqual(plan([], ['ALL']), [])
    assert.deepEqual(plan(['net_admin'], ['all']), ['CAP_NET_ADMIN'])
    assert.equal(plan(['ALL'], ['CAP_SYS_ADMIN', 'mknod']).length, ALL.length - 2)
    assert.ok(!plan([], ['chown']).includes('CAP_CHOWN'))
  })
  it('are refused when unknown or not to be had', () => {
    assert.throws(() => plan(['nope'], []), /unknown capability: "CAP_NOPE"/)
    assert.throws(
      () =>
        plan(
          ['sys_resource'],
          [],
          ALL.filter((c) => c !== 'CAP_SYS_RESOURCE'),
        ),
      /not supported by your kernel/,
    )
  })
  const mask = (names: string[]): bigint => names.reduce((m, n) => m | (1n << BigInt(ALL.indexOf(n))), 0n)
})

describe('users', () => {
  const database = {
    passwd: 'root:x:0:0:root:/root:/bin/sh\n# comment\nweb:x:1000:1000::/www:/bin/sh\nnohome:x:7:8:::\n',
    group: 'root:x:0:\nweb:x:1000:\nextra:x:1234:web,other\n',
  }
  const resolve = (user: string, groups: string[] = []): ReturnType<typeof resolveUser> =>
    resolveUser(user, groups, database)

  it('are found by name and number', () => {
    assert.deepEqual(resolve(''), { uid: 0, gid: 0, additionalGids: [0], home: '/root' })
    assert.deepEqual(resolve('web'), { uid: 1000, gid: 1000, additionalGids: [1000, 1234], home: '/www' })
    assert.deepEqual(resolve('1000'), { uid: 1000, gid: 1000, additionalGids: [1000, 1234], home: '/www' })
    assert.deepEqual(resolve('web:extra'), { uid: 1000, gid: 1234, additionalGids: [1234], home: '/www' })
    assert.deepEqual(resolve('4711:99', ['extra', '5']), {
      uid: 4711,
      gid: 99,
      additionalGids: [99, 1234, 5],
      home: '/',
    })
    assert.equal(resolve('nohome').home, '/')
  })
  it('are refused as Docker does', () => {
    assert.throws(() => resolve('nobody-here'), /unable to find user nobody-here: no matching entries in passwd file/)
    assert.throws(() => resolve('web:nope'), /unable to find group nope: no matching entries in group file/)
    assert.throws(() => resolve('4294967296'), /uids and gids must be in range/)
  })
})
