import { resolve } from 'node:path'
import { Command } from 'commander'
import { VERSION } from '../../shared/service/version.ts'
import { reportFailure } from './fail.ts'

// Whoever reads may stop reading: `gantry events | head`.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1))

// Each command's module is loaded when it is used, so that every command starts quickly.
const program = new Command('gantry')
  .description('A container engine that speaks the Docker API')
  .version(VERSION, '-V, --version')
  .showHelpAfterError()
  .enablePositionalOptions()

program
  .command('up')
  .description('start the engine (nats-server and six services) and wait until it is ready; harmless when it runs')
  .option('--single-process', 'the six services in one process, for small machines')
  .option('--foreground', 'stay in the foreground until Ctrl-C')
  .action(async (options: { singleProcess?: boolean; foreground?: boolean }) => (await import('./up.ts')).up(options))

program
  .command('down')
  .description("stop the engine's processes; containers keep running")
  .action(async () => (await import('./down.ts')).down())

program
  .command('status')
  .description('show the services; exit status 1 unless all are ready')
  .option('--json', 'print JSON')
  .action(async (options: { json?: boolean }) => (await import('./status.ts')).status(options))

program
  .command('service')
  .description('run one service (or several in one process) against the NATS server at GANTRY_NATS_URL')
  .argument('<names...>', 'gateway, engine, network, storage, cgroup, exec')
  .action(async (names: string[]) => (await import('./service.ts')).service(names))

program
  .command('nats-files')
  .description('write configuration and credentials, where there are none, for a nats-server that systemd runs')
  .action(async () => (await import('./nats-files.ts')).natsFiles())

program
  .command('drivers')
  .description('list the drivers of every kind, and why one cannot run here')
  .option('--json', 'print JSON')
  .action(async (options: { json?: boolean }) => (await import('./drivers.ts')).drivers(options))

program
  .command('jobs')
  .description('list the latest operations with their steps and timings')
  .option('-n, --last <count>', 'how many', '20')
  .option('--json', 'print JSON')
  .action(async (options: { last: string; json?: boolean }) => (await import('./jobs.ts')).jobs(options))

program
  .command('events')
  .description('print events as they happen')
  .option('--since <time>', 'replay from then: a time, or a duration such as 10m')
  .option('--until <time>', 'stop there')
  .option('--json', 'print JSON lines')
  .action(async (options: { since?: string; until?: string; json?: boolean }) =>
    (await import('./events.ts')).events(options),
  )

program
  .command('schema')
  .description("print the JSON Schema of a service's verbs, or of all")
  .argument('[service]')
  .action(async (name?: string) => (await import('./schema.ts')).schema(name))

program
  .command('run')
  .description('create and start a container')
  .argument('<image>')
  .argument('[command...]')
  .passThroughOptions()
  .option('-d, --detach', 'leave it in the background and print its id')
  .option('-p, --publish <port>', 'publish a port: [[address:]hostPort:]containerPort[/protocol]', collect, [])
  .option('-e, --env <name=value>', 'set an environment variable', collect, [])
  .option('-v, --volume <mount>', 'mount: /host/path:/container/path[:ro]', collect, [])
  .option('--name <name>', 'name of the container')
  .option('--network <mode>', 'network to connect to')
  .option('--rm', 'remove it when it ends')
  .action(async (image: string, command: string[], options: RunOptions) =>
    (await import('./run.ts')).run(image, command, options),
  )

program
  .command('images')
  .description('list images')
  .argument('[name]')
  .option('-q, --quiet', 'ids only')
  .action(async (name: string | undefined, options: { quiet?: boolean }) =>
    (await import('./images.ts')).images(name, options),
  )

program
  .command('import')
  .description('make an image out of a tar archive of a root file system')
  .argument('<file>', 'the archive; - for standard input')
  .argument('<image>', 'name[:tag]')
  .option('-c, --change <instruction>', 'a Dockerfile instruction such as CMD ["sh"]', collect, [])
  .action(async (file: string, image: string, options: { change: string[] }) =>
    (await import('./import.ts')).importImage(file, image, options),
  )

program
  .command('ps')
  .description('list containers')
  .option('-a, --all', 'stopped ones too')
  .action(async (options: { all?: boolean }) => (await import('./ps.ts')).ps(options))

program
  .command('logs')
  .description("print a container's output")
  .argument('<container>')
  .option('-f, --follow', 'go on as it comes')
  .action(async (container: string, options: { follow?: boolean }) =>
    (await import('./logs.ts')).logs(container, options),
  )

export interface RunOptions {
  detach?: boolean
  publish: string[]
  env: string[]
  volume: string[]
  name?: string
  network?: string
  rm?: boolean
}

function collect(value: string, previous: string[]): string[] {
  return [...previous, value]
}

// Services run in `/`: what the user gave relative to the present folder is made absolute here, once.
for (const name of ['GANTRY_ROOT', 'GANTRY_RUN', 'GANTRY_CONFIG']) {
  const value = process.env[name]
  if (value !== undefined) process.env[name] = resolve(value)
}
await program.parseAsync().catch(reportFailure)
