/*
 * Files of new groups as Linux 6.18 shows them (v1, and the core of v2), and as Documentation/admin-guide/cgroup-v2.rst gives
 * them; those that no driver touches are left out.
 */

type Files = Readonly<Record<string, string>>

const UNLIMITED = '9223372036854771712\n'
const CORE_V1: Files = { 'cgroup.procs': '', 'cgroup.clone_children': '0\n', notify_on_release: '0\n', tasks: '' }

/** A new group of each v1 hierarchy. */
export const V1_GROUP: Readonly<Record<string, Files>> = {
  cpu: {
    ...CORE_V1,
    'cpu.cfs_burst_us': '0\n',
    'cpu.cfs_period_us': '100000\n',
    'cpu.cfs_quota_us': '-1\n',
    'cpu.idle': '0\n',
    'cpu.rt_period_us': '1000000\n',
    'cpu.rt_runtime_us': '0\n',
    'cpu.shares': '1024\n',
    'cpu.stat': 'nr_periods 0\nnr_throttled 0\nthrottled_time 0\nnr_bursts 0\nburst_time 0\n',
  },
  cpuacct: {
    ...CORE_V1,
    'cpuacct.stat': 'user 0\nsystem 0\n',
    'cpuacct.usage': '0\n',
    'cpuacct.usage_percpu': '0 0 \n',
  },
  cpuset: { ...CORE_V1, 'cpuset.cpus': '\n', 'cpuset.mems': '\n' },
  memory: {
    ...CORE_V1,
    'cgroup.event_control': '',
    'memory.failcnt': '0\n',
    'memory.kmem.tcp.limit_in_bytes': UNLIMITED,
    'memory.limit_in_bytes': UNLIMITED,
    'memory.max_usage_in_bytes': '0\n',
    'memory.memsw.limit_in_bytes': UNLIMITED,
    'memory.oom_control': 'oom_kill_disable 0\nunder_oom 0\noom_kill 0\n',
    'memory.soft_limit_in_bytes': UNLIMITED,
    'memory.stat':
      'cache 0\nrss 0\nmapped_file 0\npgfault 0\nhierarchical_memory_limit 9223372036854771712\ntotal_cache 0\ntotal_inactive_file 0\n',
    'memory.swappiness': '60\n',
    'memory.usage_in_bytes': '0\n',
  },
  devices: { ...CORE_V1, 'devices.allow': '', 'devices.deny': '', 'devices.list': 'a *:* rwm\n' },
  freezer: {
    ...CORE_V1,
    'freezer.parent_freezing': '0\n',
    'freezer.self_freezing': '0\n',
    'freezer.state': 'THAWED\n',
  },
  blkio: {
    ...CORE_V1,
    'blkio.bfq.weight': '100\n',
    'blkio.bfq.weight_device': 'default 100\n',
    'blkio.throttle.io_service_bytes': 'Total 0\n',
    'blkio.throttle.io_service_bytes_recursive': 'Total 0\n',
    'blkio.throttle.io_serviced': 'Total 0\n',
    'blkio.throttle.io_serviced_recursive': 'Total 0\n',
    'blkio.throttle.read_bps_device': '',
    'blkio.throttle.read_iops_device': '',
    'blkio.throttle.write_bps_device': '',
    'blkio.throttle.write_iops_device': '',
  },
  pids: { ...CORE_V1, 'pids.current': '0\n', 'pids.events': 'max 0\n', 'pids.max': 'max\n' },
  hugetlb: { ...CORE_V1, 'hugetlb.2MB.limit_in_bytes': UNLIMITED, 'hugetlb.1GB.limit_in_bytes': UNLIMITED },
  systemd: CORE_V1,
}

/** The root of each v1 hierarchy. */
export const V1_ROOT: Readonly<Record<string, Files>> = {
  ...Object.fromEntries(Object.keys(V1_GROUP).map((name) => [name, CORE_V1])),
  cpu: { ...CORE_V1, 'cpu.rt_runtime_us': '950000\n', 'cpu.rt_period_us': '1000000\n' },
  cpuset: { ...CORE_V1, 'cpuset.cpus': '0-1\n', 'cpuset.mems': '0\n' },
}

export const V2_ROOT: Files = {
  'cgroup.controllers': 'cpuset cpu io memory hugetlb pids rdma misc\n',
  'cgroup.subtree_control': '\n',
  'cgroup.procs': '1\n',
  'cgroup.stat': 'nr_descendants 0\nnr_dying_descendants 0\n',
  'cpu.stat': 'usage_usec 0\nuser_usec 0\nsystem_usec 0\n',
  'cpuset.cpus.effective': '0-1\n',
  'cpuset.mems.effective': '0\n',
}

/** What every v2 group has. */
export const V2_CORE: Files = {
  'cgroup.events': 'populated 0\nfrozen 0\n',
  'cgroup.freeze': '0\n',
  'cgroup.kill': '',
  'cgroup.procs': '',
  'cgroup.subtree_control': '\n',
  'cgroup.type': 'domain\n',
  'cpu.stat': 'usage_usec 0\nuser_usec 0\nsystem_usec 0\nnice_usec 0\n',
}

/** What a v2 group has of each controller that its parent hands down. */
export const V2_CONTROLLER: Readonly<Record<string, Files>> = {
  cpu: {
    'cpu.max': 'max 100000\n',
    'cpu.weight': '100\n',
    'cpu.stat':
      'usage_usec 0\nuser_usec 0\nsystem_usec 0\nnice_usec 0\nnr_periods 0\nnr_throttled 0\nthrottled_usec 0\nnr_bursts 0\nburst_usec 0\n',
  },
  cpuset: {
    'cpuset.cpus': '\n',
    'cpuset.cpus.effective': '0-1\n',
    'cpuset.mems': '\n',
    'cpuset.mems.effective': '0\n',
  },
  io: { 'io.max': '', 'io.stat': '', 'io.bfq.weight': 'default 100\n' },
  memory: {
    'memory.current': '0\n',
    'memory.events': 'low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\noom_group_kill 0\n',
    'memory.events.local': 'low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\noom_group_kill 0\n',
    'memory.low': '0\n',
    'memory.max': 'max\n',
    'memory.stat':
      'anon 0\nfile 0\nkernel_stack 0\nslab 0\ninactive_file 0\nactive_file 0\npgfault 0\nworkingset_refault_anon 0\nworkingset_refault_file 0\n',
    'memory.swap.max': 'max\n',
  },
  hugetlb: { 'hugetlb.2MB.max': 'max\n', 'hugetlb.1GB.max': 'max\n' },
  pids: { 'pids.current': '0\n', 'pids.max': 'max\n' },
}
