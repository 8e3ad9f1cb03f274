import { existsSync, readFileSync } from 'node:fs'
import { hostname, release } from 'node:os'
import type { ProcessSpec, RunRequest } from '../../shared/contracts/index.ts'
import { invalid } from '../../shared/errors/index.ts'
import { supportsX32 } from '../../shared/kernel/abi.ts'
import { availableCapabilities, planCapabilities } from './oci/capabilities.ts'
import { planConfig, writeConfig } from './oci/config.ts'
import { lookUpDevices } from './oci/devices.ts'
import { planProcess, type OciProcess } from './oci/process.ts'
import { readUserDatabase } from './oci/rootfs.ts'
import { parseSeccompProfile, translateSeccomp, type OciSeccomp, type SeccompProfile } from './oci/seccomp.ts'
import { restrictAsDocker } from './oci/seccomp-restrictions.ts'
import { resolveUser } from './oci/users.ts'

/** Debian's golang-github-containers-common; the same path on Fedora and Arch. */
const SECCOMP_PROFILE = '/usr/share/containers/seccomp.json'
const INITS = [
  '/usr/bin/docker-init',
  '/usr/bin/tini',
  '/usr/bin/tini-static',
  '/usr/bin/catatonit',
  '/usr/libexec/docker/docker-init',
]

/** Turns requests into OCI bundles, with what it knows of this host. */
export class BundleBuilder {
  readonly capabilities: readonly string[]
  readonly #defaultProfile: SeccompProfile | undefined
  readonly #missing: readonly string[] = supportsX32() ? [] : ['SCMP_ARCH_X32']
  /** Translated default profiles, by capabilities. */
  readonly #translated = new Map<string, OciSeccomp>()

  constructor() {
    this.capabilities = availableCapabilities()
    this.#defaultProfile = existsSync(SECCOMP_PROFILE)
      ? restrictAsDocker(parseSeccompProfile(readFileSync(SECCOMP_PROFILE, 'utf8')))
      : undefined
  }

  get hasDefaultSeccomp(): boolean {
    return this.#defaultProfile !== undefined
  }

  /** The init that --init uses; empty when none is installed. */
  get initPath(): string {
    return INITS.find((path) => existsSync(path)) ?? ''
  }

  /** config.json for a request. Reads the root file system's user files and the host's devices. */
  config(request: RunRequest): string {
    const { process: spec } = request
    const capabilities = planCapabilities(spec, this.capabilities)
    const seccomp = this.seccomp(request.seccomp, spec.privileged, capabilities)
    const initPath = request.init ? this.#requireInit() : undefined
    return writeConfig(
      planConfig(request, {
        user: resolveUser(spec.user, spec.groupAdd, readUserDatabase(request.rootfs)),
        capabilities,
        devices: lookUpDevices(request),
        seccomp,
        hostname: hostnameFor(request),
        ...(initPath === undefined ? {} : { initPath }),
      }),
    )
  }

  /** The OCI process of an exec session. */
  session(spec: ProcessSpec, rootfs: string, containerHostname: string): OciProcess {
    const user = resolveUser(spec.user, spec.groupAdd, readUserDatabase(rootfs))
    return planProcess(spec, user, planCapabilities(spec, this.capabilities), containerHostname)
  }

  /** `default`, `unconfined` or a profile in Docker's JSON; undefined: no filter. */
  seccomp(wanted: string, privileged: boolean, capabilities: readonly string[]): OciSeccomp | undefined {
    if (wanted === 'unconfined' || (privileged && (wanted === 'default' || wanted === ''))) return undefined
    const target = { arch: process.arch, capabilities, kernel: release(), missingArchitectures: this.#missing }
    if (wanted !== 'default' && wanted !== '') return translateSeccomp(parseSeccompProfile(wanted), target)
    if (!this.#defaultProfile) {
      throw invalid(
        `the default seccomp profile ${SECCOMP_PROFILE} is missing (apt-get install golang-github-containers-common); ` +
          'without it a container needs --security-opt seccomp=unconfined or a profile of its own',
      )
    }
    const key = capabilities.join()
    let translated = this.#translated.get(key)
    if (!translated) {
      translated = translateSeccomp(this.#defaultProfile, target)
      // The usual sets are few; a client that tries them all must not fill the memory.
      if (this.#translated.size >= 16) this.#translated.clear()
      this.#translated.set(key, translated)
    }
    return translated
  }

  #requireInit(): string {
    const path = this.initPath
    if (path === '') throw invalid('--init needs an init on the host, and none is installed: apt-get install tini')
    return path
  }
}

/** What the process's HOSTNAME says. */
export const hostnameFor = (request: Pick<RunRequest, 'hostname' | 'namespaces'>): string =>
  request.hostname === '' && request.namespaces.uts.kind === 'host' ? hostname() : request.hostname
