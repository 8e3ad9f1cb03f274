import { allPermissions } from './nats-permissions.ts'
import { BUS_USERS, type BusUser } from './paths.ts'

export interface NatsConfigOptions {
  readonly node: string
  readonly port: number
  readonly storeDir: string
  readonly logFile: string
  /** Where nats-server writes `nats-server_<pid>.ports` once it listens: that is how its readiness is seen. */
  readonly portsDir: string
  readonly passwords: Readonly<Record<BusUser, string>>
}

const quote = (text: string): string => JSON.stringify(text)
const list = (items: readonly string[]): string => `[${items.map(quote).join(', ')}]`

/**
 * The text of nats-server's configuration: loopback only, JetStream, and for every bus user a password and the subjects that
 * it needs. The streams bound themselves; the server's own limits are far above, since it counts a stream twice when two
 * services create it at the same moment.
 */
export function natsConfig(options: NatsConfigOptions): string {
  const permissions = allPermissions(options.node)
  const users = BUS_USERS.map((user) => {
    const { publish, subscribe } = permissions[user]
    return [
      '    {',
      `      user: ${quote(user)}`,
      `      password: ${quote(options.passwords[user])}`,
      '      permissions: {',
      `        publish: { allow: ${list(publish)} }`,
      `        subscribe: { allow: ${list(subscribe)} }`,
      '      }',
      '    }',
    ].join('\n')
  })
  return `# Written by gantry at every start; changes are lost.
listen: "127.0.0.1:${options.port}"
server_name: ${quote(`gantry-${options.node}`)}
log_file: ${quote(options.logFile)}
logfile_size_limit: 16MB
ports_file_dir: ${quote(options.portsDir)}
max_payload: 8MB
jetstream {
  store_dir: ${quote(options.storeDir)}
  max_memory_store: 16MB
  max_file_store: 64GB
}
authorization {
  users: [
${users.join('\n')}
  ]
}
`
}
