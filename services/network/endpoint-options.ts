import { invalid } from '../../shared/errors/index.ts'
import { withNetns } from '../../shared/kernel/netns.ts'
import { DOCKER_PREFIX } from './network-options.ts'
import type { EndpointRecord } from './records.ts'
import { applySysctls } from './sysctls.ts'

type Options = Readonly<Record<string, string>>

/** The interface's name in the container. */
const IFNAME = `${DOCKER_PREFIX}endpoint.ifname`
/** Kernel parameters of the interface: `net.ipv4.conf.IFNAME.log_martians=1`, several parted by commas. */
const SYSCTLS = `${DOCKER_PREFIX}endpoint.sysctls`

/** Throws `invalid` naming the option and the valid form. */
export function checkEndpointOptions(options: Options): void {
  for (const option of Object.keys(options)) {
    if (option !== IFNAME && option !== SYSCTLS && option.startsWith(DOCKER_PREFIX)) {
      throw invalid(`unknown endpoint option "${option}" (there are: ${IFNAME}, ${SYSCTLS})`)
    }
  }
  const name = options[IFNAME]
  if (name !== undefined && (!/^[^\s/:]{1,15}$/.test(name) || name === 'lo' || name === '.' || name === '..')) {
    throw invalid(`invalid value "${name}" for option ${IFNAME}: an interface name of at most 15 characters`)
  }
  sysctlsOf(options, 'eth0')
}

export const wantedInterface = (options: Options | undefined): string | undefined => options?.[IFNAME]

/** Sets the parameters that an endpoint asks for, once its interface is there. */
export function applyEndpointSysctls({ request, interface: name }: EndpointRecord, netns: string): void {
  const sysctls = sysctlsOf(request.driverOptions ?? {}, name)
  if (sysctls.length > 0) withNetns(netns, () => applySysctls(sysctls))
}

function sysctlsOf(options: Options, interfaceName: string): [name: string, value: string][] {
  const texts = (options[SYSCTLS] ?? '').split(',').map((text) => text.trim())
  return texts
    .filter((text) => text !== '')
    .map((text) => {
      // The docker CLI writes what stands in `--network` in small letters.
      const [, family, kind, parameter, value] =
        /^net\.(ipv4|ipv6|mpls)\.(conf|neigh)\.IFNAME\.(\w+)=(.+)$/i.exec(text) ?? []
      if (value === undefined) {
        throw invalid(
          `invalid value "${text}" for option ${SYSCTLS}: it should be like net.ipv4.conf.IFNAME.log_martians=1`,
        )
      }
      // Slashes: an interface's name may have dots in it.
      return [['net', family, kind, interfaceName, parameter].join('/'), value]
    })
}
