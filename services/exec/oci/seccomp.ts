import { invalid } from '../../../shared/errors/index.ts'

/** Docker's seccomp profile format (moby profiles/seccomp): rules that hold for some architectures, capabilities, kernels. */
export interface SeccompProfile {
  readonly defaultAction: string
  readonly defaultErrnoRet?: number
  readonly architectures?: readonly string[] | null
  readonly archMap?: readonly { architecture: string; subArchitectures?: readonly string[] | null }[] | null
  readonly listenerPath?: string
  readonly listenerMetadata?: string
  readonly flags?: readonly string[]
  readonly syscalls?: readonly SeccompRule[] | null
}

export interface SeccompRule {
  readonly name?: string
  readonly names?: readonly string[]
  readonly action: string
  readonly errnoRet?: number | null
  readonly args?: readonly SeccompArgument[] | null
  readonly includes?: SeccompFilter | null
  readonly excludes?: SeccompFilter | null
}

interface SeccompArgument {
  readonly index: number
  readonly value: number
  readonly valueTwo?: number
  readonly op: string
}

interface SeccompFilter {
  readonly caps?: readonly string[] | null
  readonly arches?: readonly string[] | null
  readonly minKernel?: string | null
}

/** linux.seccomp of the OCI runtime specification. */
export interface OciSeccomp {
  readonly defaultAction: string
  readonly defaultErrnoRet?: number
  readonly architectures?: readonly string[]
  readonly flags?: readonly string[]
  readonly syscalls: readonly {
    readonly names: readonly string[]
    readonly action: string
    readonly errnoRet?: number
    readonly args?: readonly SeccompArgument[]
  }[]
}

export interface SeccompTarget {
  /** As `process.arch` calls it. */
  readonly arch: string
  readonly capabilities: readonly string[]
  /** `uname -r` */
  readonly kernel: string
  /**
   * Secondary architectures that this kernel does not run, and that are therefore left out: every architecture more costs a container
   * 5 ms at its start (libseccomp compiles the filter for each).
   */
  readonly missingArchitectures: readonly string[]
}

/** Node's name of an architecture -> Go's (which `includes.arches` uses) and libseccomp's. */
const ARCHITECTURES: Record<string, { go: string; scmp: string }> = {
  x64: { go: 'amd64', scmp: 'SCMP_ARCH_X86_64' },
  arm64: { go: 'arm64', scmp: 'SCMP_ARCH_AARCH64' },
  arm: { go: 'arm', scmp: 'SCMP_ARCH_ARM' },
  ia32: { go: '386', scmp: 'SCMP_ARCH_X86' },
  ppc64: { go: 'ppc64le', scmp: 'SCMP_ARCH_PPC64LE' },
  riscv64: { go: 'riscv64', scmp: 'SCMP_ARCH_RISCV64' },
  s390x: { go: 's390x', scmp: 'SCMP_ARCH_S390X' },
}

/** Parses a profile given by a user; `invalid` says what is wrong with it. */
export function parseSeccompProfile(json: string): SeccompProfile {
  let value: unknown
  try {
    value = JSON.parse(json)
  } catch (error) {
    throw invalid(`Decoding seccomp profile failed: ${(error as Error).message}`)
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw invalid('Decoding seccomp profile failed: it is not a JSON object')
  }
  const profile = value as SeccompProfile
  if (typeof profile.defaultAction !== 'string') {
    throw invalid('Decoding seccomp profile failed: "defaultAction" is missing')
  }
  const { syscalls, archMap, architectures } = profile
  for (const [name, list] of Object.entries({ syscalls, archMap, architectures })) {
    if (list !== undefined && list !== null && !Array.isArray(list)) {
      throw invalid(`Decoding seccomp profile failed: "${name}" is not a list`)
    }
  }
  if ((architectures?.length ?? 0) > 0 && (archMap?.length ?? 0) > 0) {
    throw invalid("both 'architectures' and 'archMap' are specified in the seccomp profile, use either one")
  }
  for (const rule of syscalls ?? []) {
    if (rule.name !== undefined && (rule.names?.length ?? 0) > 0) {
      throw invalid(`both 'name' and 'names' are specified in the seccomp profile ("${rule.name}"), use either one`)
    }
  }
  return profile
}

/** The profile for one machine and one set of capabilities, in the form of the OCI specification. */
export function translateSeccomp(profile: SeccompProfile, target: SeccompTarget): OciSeccomp {
  const names = ARCHITECTURES[target.arch]
  const mapped = profile.archMap?.find((m) => m.architecture === names?.scmp)
  const wanted = mapped
    ? [mapped.architecture, ...(mapped.subArchitectures ?? [])]
    : (profile.architectures ?? (names ? [names.scmp] : []))
  const architectures = wanted.filter((name) => !target.missingArchitectures.includes(name))
  const syscalls: OciSeccomp['syscalls'][number][] = []
  for (const rule of profile.syscalls ?? []) {
    if (!applies(rule, target, names?.go ?? target.arch)) continue
    syscalls.push({
      names: rule.names ?? (rule.name === undefined ? [] : [rule.name]),
      action: rule.action,
      ...(rule.errnoRet === undefined || rule.errnoRet === null ? {} : { errnoRet: rule.errnoRet }),
      ...(rule.args && rule.args.length > 0 ? { args: rule.args } : {}),
    })
  }
  return {
    defaultAction: profile.defaultAction,
    ...(profile.defaultErrnoRet === undefined ? {} : { defaultErrnoRet: profile.defaultErrnoRet }),
    ...(architectures.length > 0 ? { architectures } : {}),
    ...(profile.flags ? { flags: profile.flags } : {}),
    syscalls,
  }
}

function applies(rule: SeccompRule, target: SeccompTarget, arch: string): boolean {
  const { includes, excludes } = rule
  if (excludes?.arches?.includes(arch)) return false
  if (excludes?.caps?.some((c) => target.capabilities.includes(c))) return false
  if (excludes?.minKernel && kernelAtLeast(target.kernel, excludes.minKernel)) return false
  if (includes?.arches && includes.arches.length > 0 && !includes.arches.includes(arch)) return false
  if (includes?.caps && !includes.caps.every((c) => target.capabilities.includes(c))) return false
  if (includes?.minKernel && !kernelAtLeast(target.kernel, includes.minKernel)) return false
  return true
}

function kernelAtLeast(kernel: string, least: string): boolean {
  const [a = 0, b = 0] = kernel.split('.').map((n) => parseInt(n, 10))
  const [c = 0, d = 0] = least.split('.').map((n) => parseInt(n, 10))
  return a > c || (a === c && b >= d)
}
