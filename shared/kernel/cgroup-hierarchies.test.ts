import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { RecordedCgroups } from '../../test/support/recorded-cgroups.ts'
import { findHierarchies } from './cgroup-hierarchies.ts'

/** A host whose mounts are these, over a recorded tree for the files. */
function host(kind: 'v1' | 'v2' | 'hybrid', lines: (root: string) => string[]) {
  class Mounted extends RecordedCgroups {
    override mountinfo(): string {
      return ['24 1 254:0 / / rw - ext4 /dev/vda rw', ...lines(this.root)].join('\n')
    }
  }
  const fs = new Mounted(kind)
  try {
    const { v1, v2, v2Controllers } = findHierarchies(fs, fs.root)
    const strip = (dir: string | undefined): string | undefined => dir?.replace(fs.root, '')
    return { v1: Object.fromEntries([...v1].map(([c, d]) => [c, strip(d)])), v2: strip(v2), v2Controllers }
  } finally {
    fs.dispose()
  }
}

const v1Line = (root: string, dir: string, options: string): string =>
  `30 24 0:26 / ${join(root, dir)} rw,nosuid shared:9 - cgroup cgroup rw,xattr,${options}`

test('a systemd host with v1 hierarchies: controllers share a mount, named hierarchies of others are left out', () => {
  const found = host('v1', (root) => [
    v1Line(root, 'cpu,cpuacct', 'cpu,cpuacct'),
    v1Line(root, 'memory', 'memory'),
    v1Line(root, 'systemd', 'name=systemd'),
    v1Line(root, 'elogind', 'name=elogind'),
  ])
  assert.deepEqual(found.v1, {
    cpu: '/cpu,cpuacct',
    cpuacct: '/cpu,cpuacct',
    memory: '/memory',
    'name=systemd': '/systemd',
  })
  assert.equal(found.v2, undefined)
})

test('a hybrid host has both', () => {
  const found = host('hybrid', (root) => [
    v1Line(root, 'memory', 'memory'),
    `31 24 0:27 / ${join(root, 'unified')} rw - cgroup2 cgroup2 rw,nsdelegate`,
  ])
  assert.deepEqual(found, { v1: { memory: '/memory' }, v2: '/unified', v2Controllers: ['hugetlb'] })
})

test('a v2 host has one tree', () => {
  const found = host('v2', (root) => [`31 24 0:27 / ${root} rw - cgroup2 cgroup2 rw`])
  assert.deepEqual(found.v1, {})
  assert.equal(found.v2, '')
  assert.ok(found.v2Controllers.includes('memory'))
})

test('mounts elsewhere are not ours', () => {
  const found = host('v2', () => ['31 24 0:27 / /somewhere/cgroup rw - cgroup2 cgroup2 rw'])
  assert.equal(found.v2, '', 'the recorded tree is read by its layout')
})
