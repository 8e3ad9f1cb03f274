import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { restrictAsDocker } from './seccomp-restrictions.ts'
import { parseSeccompProfile, translateSeccomp, type SeccompTarget } from './seccomp.ts'

const profile = parseSeccompProfile(
  JSON.stringify({
    defaultAction: 'SCMP_ACT_ERRNO',
    defaultErrnoRet: 38,
    archMap: [
      { architecture: 'SCMP_ARCH_X86_64', subArchitectures: ['SCMP_ARCH_X86', 'SCMP_ARCH_X32'] },
      { architecture: 'SCMP_ARCH_AARCH64', subArchitectures: ['SCMP_ARCH_ARM'] },
    ],
    syscalls: [
      { names: ['read', 'write'], action: 'SCMP_ACT_ALLOW', args: [], includes: {}, excludes: {} },
      { names: ['arch_prctl'], action: 'SCMP_ACT_ALLOW', includes: { arches: ['amd64', 'x32'] } },
      { names: ['bpf'], action: 'SCMP_ACT_ALLOW', args: null, includes: { caps: ['CAP_SYS_ADMIN'] } },
      { names: ['bpf'], action: 'SCMP_ACT_ERRNO', errnoRet: 1, excludes: { caps: ['CAP_SYS_ADMIN'] } },
      { names: ['ptrace'], action: 'SCMP_ACT_ALLOW', includes: { minKernel: '4.8' } },
      { name: 'personality', action: 'SCMP_ACT_ALLOW', args: [{ index: 0, value: 8, op: 'SCMP_CMP_EQ' }] },
    ],
  }),
)
const target = (more: Partial<SeccompTarget> = {}): SeccompTarget => ({
  arch: 'x64',
  capabilities: [],
  kernel: '6.1.0-13-amd64',
  missingArchitectures: [],
  ...more,
})

describe('seccomp profile', () => {
  it('is translated for architecture, capabilities and kernel', () => {
    assert.deepEqual(translateSeccomp(profile, target()), {
      defaultAction: 'SCMP_ACT_ERRNO',
      defaultErrnoRet: 38,
      architectures: ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86', 'SCMP_ARCH_X32'],
      syscalls: [
        { names: ['read', 'write'], action: 'SCMP_ACT_ALLOW' },
        { names: ['arch_prctl'], action: 'SCMP_ACT_ALLOW' },
        { names: ['bpf'], action: 'SCMP_ACT_ERRNO', errnoRet: 1 },
        { names: ['ptrace'], action: 'SCMP_ACT_ALLOW' },
        { names: ['personality'], action: 'SCMP_ACT_ALLOW', args: [{ index: 0, value: 8, op: 'SCMP_CMP_EQ' }] },
      ],
    })
    const other = translateSeccomp(profile, target({ arch: 'arm64', capabilities: ['CAP_SYS_ADMIN'], kernel: '4.4.0' }))
    assert.deepEqual(other.architectures, ['SCMP_ARCH_AARCH64', 'SCMP_ARCH_ARM'])
    assert.deepEqual(
      other.syscalls.map((s) => `${s.names.join()} ${s.action}`),
      ['read,write SCMP_ACT_ALLOW', 'bpf SCMP_ACT_ALLOW', 'personality SCMP_ACT_ALLOW'],
    )
  })

  it('refuses what Docker refuses without the capability', () => {
    const open = parseSeccompProfile(
      '{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["read","mount","clone","clone3","keyctl"],"action":"SCMP_ACT_ALLOW"}]}',
    )
    const rules = (capabilities: string[]): string[] =>
      translateSeccomp(restrictAsDocker(open), target({ capabilities })).syscalls.flatMap((s) =>
        s.names.map((n) => `${n} ${s.action.slice(9)}${s.errnoRet ?? ''}${s.args ? ' masked' : ''}`),
      )
    const plain = rules([])
    for (const rule of [
      'read ALLOW',
      'mount ERRNO1',
      'unshare ERRNO1',
      'clone ALLOW masked',
      'clone3 ERRNO38',
      'keyctl ERRNO1',
    ]) {
      assert.ok(plain.includes(rule), `${rule} in ${plain.join()}`)
    }
    assert.ok(!plain.includes('mount ALLOW') && !plain.includes('clone ALLOW') && !plain.includes('keyctl ALLOW'))
    const admin = rules(['CAP_SYS_ADMIN'])
    for (const rule of ['mount ALLOW', 'clone ALLOW', 'clone3 ALLOW', 'keyctl ERRNO1'])
      assert.ok(admin.includes(rule), rule)
    assert.ok(!admin.some((r) => r.startsWith('mount ERRNO')))
  })

  it('leaves out architectures that the kernel does not run', () => {
    const { architectures } = translateSeccomp(profile, target({ missingArchitectures: ['SCMP_ARCH_X32'] }))
    assert.deepEqual(architectures, ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86'])
  })

  it('is refused when it is none', () => {
    for (const [text, why] of [
      ['{bad', /Decoding seccomp profile failed/],
      ['[]', /not a JSON object/],
      ['{}', /"defaultAction" is missing/],
      ['{"defaultAction":"x","syscalls":{}}', /"syscalls" is not a list/],
      ['{"defaultAction":"x","architectures":["a"],"archMap":[{}]}', /use either one/],
      ['{"defaultAction":"x","syscalls":[{"name":"a","names":["b"],"action":"c"}]}', /use either one/],
    ] as const) {
      assert.throws(() => parseSeccompProfile(text), why)
    }
  })
})
