import type { RunRequest } from '../../shared/contracts/index.ts'
import { invalid } from '../../shared/errors/index.ts'
import type { BundleBuilder } from './bundle.ts'
import type { ExecDrivers } from './drivers.ts'
import { planCapabilities } from './oci/capabilities.ts'
import { planRlimit } from './oci/config.ts'
import { parseDeviceRule } from './oci/devices.ts'

export type CheckRequest = Pick<
  RunRequest,
  'runtime' | 'log' | 'deviceCgroupRules' | 'rlimits' | 'seccomp' | 'init'
> & {
  readonly capAdd: readonly string[]
  readonly capDrop: readonly string[]
}

/** Refuses what can be known to be wrong before there is a root file system. */
export function check(request: CheckRequest, drivers: ExecDrivers, bundles: BundleBuilder): void {
  drivers.runtime(request.runtime)
  drivers.log(request.log.driver).validate(request.log.options)
  const capabilities = planCapabilities({ ...request, privileged: false }, bundles.capabilities)
  request.rlimits.forEach(planRlimit)
  request.deviceCgroupRules.forEach(parseDeviceRule)
  bundles.seccomp(request.seccomp, false, capabilities)
  if (request.init && bundles.initPath === '') {
    throw invalid('--init needs an init on the host, and none is installed: apt-get install tini')
  }
}
