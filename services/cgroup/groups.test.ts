import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, test } from 'node:test'
import type { Resources } from '../../shared/contracts/index.ts'
import { isKind } from '../../shared/errors/index.ts'
import { RecordedService } from '../../test/support/cgroup-service.ts'

const id = (): string => randomBytes(32).toString('hex')
const MiB = 1024 * 1024

for (const kind of ['v1', 'hybrid', 'v2'] as const) {
  describe(`the keeper of groups on a ${kind} host`, () => {
    let service: RecordedService

    beforeEach(async () => {
      service = new RecordedService(kind)
      await service.restart()
    })
    afterEach(async () => service.dispose())

    test('the last group takes the parent with it, whatever came between', async () => {
      const [a, b] = [id(), id()]
      await Promise.all([service.keeper.create(a, '', {}), service.keeper.create(b, '/custom/deep', {})])
      assert.ok(service.directories().length > 0)
      await Promise.all([service.keeper.delete(a), service.keeper.delete(b)])
      assert.deepEqual(service.directories(), [])
      assert.deepEqual(service.groups.parents(service.driver.manifest.name), [])
    })

    test('a group made while the last one goes keeps its parents', async () => {
      for (let round = 0; round < 5; round++) {
        const [a, b] = [id(), id()]
        await service.keeper.create(a, '/custom', {})
        await Promise.all([service.keeper.delete(a), service.keeper.create(b, '/custom', {})])
        assert.equal(await service.driver.exists(`/custom/${b}`), true)
        await service.keeper.delete(b)
        assert.deepEqual(service.directories(), [])
      }
    })

    test('a parent that was there before stays', async () => {
      const group = id()
      await service.driver.create('/theirs', {})
      await service.keeper.create(group, '/theirs', {})
      await service.keeper.delete(group)
      assert.equal(await service.driver.exists('/theirs'), true)
      await service.driver.remove('/theirs')
    })

    test('a parent that has processes of its own is a conflict on v2, where only the last groups may', async () => {
      await service.driver.create('/theirs', {})
      service.tree.enter('/theirs', 4711)
      const made = service.keeper.create(id(), '/theirs', {})
      if (kind === 'v2') await assert.rejects(made, (e) => isKind(e, 'conflict') && /processes live/.test(e.message))
      else assert.ok(await made)
    })

    test('creating is repeatable, and with another parent moves', async () => {
      const group = id()
      await service.keeper.create(group, '', { PidsLimit: 5 })
      await service.keeper.create(group, '', { PidsLimit: 6 })
      await service.keeper.create(group, '/elsewhere', { PidsLimit: 7 })
      assert.equal(await service.driver.exists(`/elsewhere/${group}`), true)
      assert.equal(await service.driver.exists(`${service.parent}/${group}`), false)
      await service.keeper.delete(group)
      assert.deepEqual(service.directories(), [])
    })

    test('a failed create leaves nothing', async () => {
      const group = id()
      service.tree.failing.set('pids.max', 'EINVAL')
      await assert.rejects(service.keeper.create(group, '/p', { PidsLimit: 5 }), (e) => isKind(e, 'invalid'))
      assert.deepEqual(service.directories(), [])
      assert.equal(service.groups.get(group), undefined)
      await assert.rejects(service.keeper.create(group, '', { Memory: 1 }), (e) => isKind(e, 'invalid'))
      assert.deepEqual(service.directories(), [])
    })

    test('an update merges with what was set, and is remembered only when it worked', async () => {
      const group = id()
      await service.keeper.create(group, '', { Memory: 64 * MiB, MemorySwap: 64 * MiB, PidsLimit: 5 })
      await service.keeper.update(group, { PidsLimit: 9 }, 'change 1')
      await service.keeper.update(group, { Memory: 32 * MiB }, 'change 2')
      const set = { Memory: 32 * MiB, MemorySwap: 64 * MiB, PidsLimit: 9 }
      assert.deepEqual(service.groups.get(group)?.resources, set)
      await assert.rejects(service.keeper.update(group, { Memory: 128 * MiB }, 'change 3'), (e) =>
        isKind(e, 'conflict'),
      )
      service.tree.failing.set('pids.max', 'EINVAL')
      await assert.rejects(service.keeper.update(group, { PidsLimit: 11, Memory: 48 * MiB }, 'change 4'))
      assert.deepEqual(service.groups.get(group)?.resources, set)
      service.tree.failing.clear()
      await service.restart()
      await service.keeper.update(group, { CpuShares: 512 }, 'change 5')
      assert.deepEqual(service.groups.get(group)?.resources, { ...set, CpuShares: 512 })
      await service.keeper.delete(group)
      await assert.rejects(service.keeper.update(group, { PidsLimit: 1 }, 'change 6'), (e) => isKind(e, 'not-found'))
    })

    const LIMITS: Resources = {
      ...{ Memory: 64 * MiB, MemorySwap: 96 * MiB, MemoryReservation: 32 * MiB, MemorySwappiness: 7 },
      ...{ PidsLimit: 9, CpuShares: 512, CpuPeriod: 50_000, CpuQuota: 20_000 },
      ...{ CpusetCpus: '1', CpusetMems: '0', BlkioWeight: 300 },
      BlkioDeviceReadBps: [{ Path: '/dev/vda', Rate: MiB }],
    }

    test('a change is taken back exactly, limits that nobody had set too', async () => {
      const group = id()
      const { path } = (await service.keeper.create(group, '', {})).group
      const before = service.tree.contents(path)
      await service.keeper.update(group, LIMITS, 'a')
      assert.notDeepEqual(service.tree.contents(path), before)
      await service.keeper.revert(group, 'another')
      assert.notDeepEqual(service.tree.contents(path), before, 'a change of another name is none of its business')
      await service.keeper.update(group, LIMITS, 'a') // its answer was lost
      await service.restart()
      await service.keeper.revert(group, 'a')
      assert.deepEqual(service.tree.contents(path), before)
      assert.deepEqual(service.groups.get(group)?.resources, {})
      await service.keeper.update(group, { PidsLimit: 3 }, 'b')
      await service.keeper.revert(group, 'a')
      assert.deepEqual(service.groups.get(group)?.resources, { PidsLimit: 3 })
      await service.keeper.revert(id(), 'a')
    })

    test('a service that dies anywhere in a change puts back what was', async () => {
      const group = id()
      const { path } = (await service.keeper.create(group, '', { PidsLimit: 5, CpuShares: 100 })).group
      const before = service.tree.contents(path)
      let writes = 0
      const dies = async (): Promise<boolean> => {
        let left = writes
        service.tree.onChange = () => {
          if (left-- <= 0) throw new Error('dead')
        }
        try {
          await service.keeper.update(group, LIMITS, `change ${writes}`)
          return false
        } catch (error) {
          assert.match(String(error), /dead/)
          return true
        } finally {
          service.tree.onChange = undefined
        }
      }
      for (; await dies(); writes++) {
        await service.restart()
        assert.deepEqual(service.tree.contents(path), before, `after ${writes} writes`)
        assert.deepEqual(service.groups.get(group)?.resources, { PidsLimit: 5, CpuShares: 100 })
      }
      assert.ok(writes > 5, `${writes} writes`)
    })

    test('OOM is told once for each kill, and remembered after the group is gone', async () => {
      const group = id()
      const { path } = (await service.keeper.create(group, '', {})).group
      assert.equal(await service.keeper.oomKilled(group), false)
      const told = service.bus.fact()
      service.tree.oomKill(path)
      await told
      assert.equal(await service.keeper.oomKilled(group), true)
      service.tree.oomKill(path)
      assert.equal(await service.keeper.delete(group), true)
      assert.deepEqual(
        service.bus.facts.map((f) => [f.name, f.fact.id, f.fact.cgroup, f.fact.total]),
        [
          ['cgroup.oom', group, path, 1],
          ['cgroup.oom', group, path, 2],
        ],
      )
      assert.equal(await service.keeper.delete(group), true, 'the same answer again')
      assert.equal(await service.keeper.oomKilled(group), true)
      const again = await service.keeper.create(group, '', {})
      assert.equal(await service.keeper.oomKilled(group), false, 'a new group has a clean slate')
      service.tree.oomKill(again.group.path)
      assert.equal(await service.keeper.delete(group), true)
      assert.equal(new Set(service.bus.facts.map((f) => f.id)).size, 3, 'facts of two groups are told apart')
    })

    test('an OOM kill is told with the run and with the group below that it was in', async () => {
      const group = id()
      const { path } = (await service.keeper.create(group, '', {}, 'first')).group
      const below = `${path}/sub`
      for (const dir of service.tree.dirs(path)) {
        if (service.tree.exists(join(dir, 'memory.events')))
          service.tree.write(join(dir, 'cgroup.subtree_control'), '+memory')
        service.tree.mkdir(join(dir, 'sub'))
      }
      const facts = () => service.bus.facts.map(({ fact: f }) => [f.instance, f.cgroup, f.total])
      service.tree.oomKill(below)
      await service.metrics.pass() // v1 sends the group above no event
      assert.deepEqual(facts(), [['first', below, 1]])
      service.bus.down = true
      service.tree.oomKill(below)
      service.tree.oomKill(path)
      await service.metrics.pass()
      service.bus.down = false
      await service.restart()
      assert.deepEqual(facts().slice(1), [['first', service.bus.facts.at(-1)?.fact.cgroup, 3]])
      await service.keeper.create(group, '', {}, 'second')
      assert.equal(await service.keeper.oomKilled(group), false, "what is left of another run's group does not count")
      service.tree.oomKill(path)
      await service.metrics.pass()
      assert.deepEqual(facts().at(-1), ['second', path, 1])
      await service.keeper.delete(group)
    })

    test('OOM kills that happened while the service was away are told when it is back', async () => {
      const group = id()
      const { path } = (await service.keeper.create(group, '', {})).group
      service.tree.oomKill(path)
      await service.restart()
      assert.deepEqual(
        service.bus.facts.map((f) => f.fact.total),
        [1],
      )
      await service.restart()
      assert.equal(service.bus.facts.length, 1, 'not again')
      const told = service.bus.fact()
      service.tree.oomKill(path)
      await told
      assert.equal(service.bus.facts.at(-1)?.fact.total, 2)
    })

    test('an OOM kill that could not be told is told after a restart, also of a group that is gone', async () => {
      const group = id()
      const { path } = (await service.keeper.create(group, '', {})).group
      service.bus.down = true
      service.tree.oomKill(path)
      assert.equal(await service.keeper.delete(group), true)
      assert.equal(service.bus.facts.length, 0)
      service.bus.down = false
      await service.restart()
      assert.deepEqual(
        service.bus.facts.map((f) => [f.fact.id, f.fact.total]),
        [[group, 1]],
      )
      await service.restart()
      assert.equal(service.bus.facts.length, 1)
    })

    test('the count is remembered when the runtime has removed the group', async () => {
      const group = id()
      const { path } = (await service.keeper.create(group, '', {})).group
      const told = service.bus.fact()
      service.tree.oomKill(path)
      await told
      await service.driver.remove(path)
      await service.restart()
      assert.equal(await service.keeper.oomKilled(group), true)
      assert.equal(await service.keeper.delete(group), true)
      assert.deepEqual(service.directories(), [])
    })

    test('reconcile removes what has no owner, and what came back of what it removed', async () => {
      const [kept, dropped, back] = [id(), id(), id()]
      await service.keeper.create(kept, '', {})
      await service.keeper.create(dropped, '/custom', {})
      await service.keeper.create(back, '', {})
      await service.keeper.delete(back)
      await service.driver.create(`${service.parent}/${back}`, {})
      assert.deepEqual(
        (await service.keeper.reconcile(new Set([kept]))).sort(),
        [dropped, `${service.parent}/${back}`].sort(),
      )
      assert.equal(await service.driver.exists(`${service.parent}/${kept}`), true)
      assert.equal(await service.driver.exists('/custom'), false)
      await service.keeper.delete(kept)
      assert.deepEqual(service.directories(), [])
    })

    test('what others have under the same parent is left alone, also when it is named like a container', async () => {
      const theirs = ['session', id()].map((name) => `${service.parent}/${name}`)
      for (const path of [...theirs, '/somebody-elses']) {
        await service.driver.create(path, {})
        service.tree.enter(path, 4711)
      }
      assert.deepEqual(await service.keeper.reconcile(new Set()), [])
      for (const path of [...theirs, '/somebody-elses']) assert.deepEqual(await service.driver.pids(path), [4711])
    })

    test("a parent below the engine's own is no stray", async () => {
      const group = id()
      const { path } = (await service.keeper.create(group, `${service.parent}/team-a`, {})).group
      service.tree.enter(path, 4711)
      await service.restart()
      assert.deepEqual(await service.keeper.reconcile(new Set([group])), [])
      assert.deepEqual(await service.driver.pids(path), [4711])
      await service.keeper.delete(group)
      assert.deepEqual(service.directories(), [])
    })

    test("another container's group is refused as parent, and one that held it once is not removed", async () => {
      const [outer, inner] = [id(), id()]
      const { path } = (await service.keeper.create(outer, '', {})).group
      await assert.rejects(
        service.keeper.create(inner, path, {}),
        (e) => isKind(e, 'conflict') && e.message.includes(outer),
      )
      await service.keeper.delete(outer)
      await service.keeper.create(inner, path, {})
      assert.deepEqual(await service.keeper.reconcile(new Set([inner])), [])
      assert.equal(await service.driver.exists(`${path}/${inner}`), true)
      await service.keeper.delete(inner)
      assert.deepEqual(service.directories(), [])
    })

    test('a group whose driver cannot run any more is forgotten, and made by the one that can', async () => {
      const [started, deleted] = [id(), id()]
      for (const group of [started, deleted]) await service.keeper.create(group, '', {})
      for (const path of service.directories().reverse()) service.tree.rmdir(path) // the host was booted
      const other = service.driver.manifest.name === 'cgroupfs-v1' ? 'cgroupfs-v2' : 'cgroupfs-v1'
      service.store.run('UPDATE groups SET driver = ?', other)
      service.store.run('UPDATE parents SET driver = ?', other)
      await service.restart()
      assert.equal(await service.keeper.oomKilled(started), false)
      assert.equal(await service.keeper.delete(deleted), false)
      assert.equal((await service.keeper.create(started, '', {})).group.driver, service.driver.manifest.name)
      await service.keeper.delete(started)
      assert.deepEqual(service.directories(), [])
      assert.deepEqual(service.groups.live(), [])
    })

    test('a group that cannot be watched is made and sampled', async (t) => {
      const group = id()
      t.mock.method(service.driver, 'watchOom', () => {
        throw Object.assign(new Error('ENOSPC: no space left on device, watch'), { code: 'ENOSPC' })
      })
      await service.keeper.create(group, '', {})
      assert.equal((await service.metrics.sample([group])).size, 1)
      await service.keeper.delete(group)
    })

    test('killed at any write, the service leaves nothing behind', async () => {
      const resources = { Memory: 64 * MiB, NanoCpus: 5e8, CpusetCpus: '0', PidsLimit: 5 }
      for (let at = 1; ; at++) {
        const group = id()
        let calls = 0
        // The process dies: no code of its own runs after that, also not what cleans up.
        const dead = (): boolean => ++calls >= at
        service.tree.onChange = (what) => {
          if (dead()) throw Object.assign(new Error(`died before ${what}`), { code: 'EIO' })
        }
        await service.keeper.create(group, '/custom', resources).catch(() => undefined)
        service.tree.onChange = undefined
        const finished = calls < at
        await service.restart()
        await service.keeper.reconcile(new Set())
        assert.deepEqual(service.directories(), [], `died at change ${at}`)
        assert.deepEqual(service.groups.live(), [])
        if (finished) break
      }
    })

    test('a pass over many groups lets requests through in between', async () => {
      for (let i = 0; i < 60; i++) await service.keeper.create(id(), '', {})
      let turns = 0
      let over = false
      const count = (): void => void (turns++, over || setImmediate(count))
      setImmediate(count)
      await service.metrics.pass()
      over = true
      assert.ok(turns >= 2, `${turns} turns`)
      assert.equal(service.bus.samples.length, 60)
    })

    test('samples are published, and nothing without groups', async () => {
      await service.metrics.pass()
      assert.equal(service.bus.samples.length, 0)
      const [a, b] = [id(), id()]
      await service.keeper.create(a, '', {})
      await service.keeper.create(b, '', {})
      await service.metrics.pass()
      assert.deepEqual(service.bus.samples.map((s) => s.id).sort(), [a, b].sort())
      assert.equal((await service.metrics.sample([a, id()])).size, 1)
      await service.keeper.delete(a)
      await service.metrics.pass()
      assert.equal(service.bus.samples.length, 3)
    })
  })
}
