import type { SeccompProfile, SeccompRule } from './seccomp.ts'

/**
 * The distribution's default profile (golang-github-containers-common) is made for containers that may make user namespaces of their own
 * and lets everybody call mount, unshare and the like, leaving the refusal to the kernel. Docker's default profile (moby
 * profiles/seccomp) refuses them without the capability: so much less of the kernel can be reached. This adds what Docker refuses.
 */
const ONLY_WITH: readonly { readonly capability: string; readonly names: readonly string[] }[] = [
  {
    capability: 'CAP_SYS_ADMIN',
    names: [
      ...['fsconfig', 'fsmount', 'fsopen', 'fspick', 'mount', 'mount_setattr', 'move_mount', 'open_tree', 'pivot_root'],
      ...['setns', 'umount', 'umount2', 'unshare'],
    ],
  },
  { capability: 'CAP_SYSLOG', names: ['syslog'] },
  { capability: 'CAP_SYS_BOOT', names: ['reboot'] },
]

/** Kernel keyrings are not namespaced: Docker allows them to nobody. */
const NEVER = ['keyctl']

/** New namespaces: CLONE_NEWNS | NEWCGROUP | NEWUTS | NEWIPC | NEWUSER | NEWPID | NEWNET. */
const NEW_NAMESPACES = 0x7e020000
const EPERM = 1
const ENOSYS = 38

/** The profile with Docker's restrictions, in the same format. */
export function restrictAsDocker(profile: SeccompProfile): SeccompProfile {
  const restricted = new Set([...ONLY_WITH.flatMap(({ names }) => names), ...NEVER, 'clone', 'clone3'])
  const kept = (profile.syscalls ?? []).map((rule) =>
    rule.action === 'SCMP_ACT_ALLOW' && !conditional(rule)
      ? { ...rule, names: rule.names?.filter((name) => !restricted.has(name)) ?? [] }
      : rule,
  )
  return { ...profile, syscalls: [...kept, ...restrictions()] }
}

const conditional = ({ args, includes, excludes }: SeccompRule): boolean =>
  (args?.length ?? 0) > 0 || [includes, excludes].some((f) => f && Object.values(f).some((v) => v !== null))

function restrictions(): SeccompRule[] {
  const refuse = { action: 'SCMP_ACT_ERRNO', errnoRet: EPERM }
  const admin = ['CAP_SYS_ADMIN']
  // Its flags are the first argument, but on s390 the second.
  const clone = (index: number, arches: object): SeccompRule => ({
    names: ['clone'],
    action: 'SCMP_ACT_ALLOW',
    args: [{ index, value: NEW_NAMESPACES, valueTwo: 0, op: 'SCMP_CMP_MASKED_EQ' }],
    ...arches,
  })
  return [
    ...ONLY_WITH.flatMap(({ capability, names }): SeccompRule[] => [
      { names, action: 'SCMP_ACT_ALLOW', includes: { caps: [capability] } },
      { names, ...refuse, excludes: { caps: [capability] } },
    ]),
    { names: NEVER, ...refuse },
    { names: ['clone', 'clone3'], action: 'SCMP_ACT_ALLOW', includes: { caps: admin } },
    clone(0, { excludes: { caps: admin, arches: ['s390', 's390x'] } }),
    clone(1, { includes: { arches: ['s390', 's390x'] }, excludes: { caps: admin } }),
    // Its flags lie in memory, where a filter cannot see them; the C library falls back to clone.
    { names: ['clone3'], action: 'SCMP_ACT_ERRNO', errnoRet: ENOSYS, excludes: { caps: admin } },
  ]
}
