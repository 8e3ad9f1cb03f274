import type Docker from 'dockerode'
import type { Container, ContainerCreateOptions } from 'dockerode'
import { withDocker } from './docker.ts'
import type { RunOptions } from './main.ts'
import { parsePublish } from './ports.ts'

/** `gantry run`: a thin client of the API. In the foreground it prints the output and takes over the exit code. */
export async function run(image: string, command: readonly string[], options: RunOptions): Promise<void> {
  await withDocker(async (docker) => {
    const container = await docker.createContainer(createOptions(image, command, options))
    if (options.detach === true) {
      await container.start()
      process.stdout.write(`${container.id}\n`)
      return
    }
    process.exitCode = await foreground(docker, container, options.rm === true)
  })
}

function createOptions(image: string, command: readonly string[], options: RunOptions): ContainerCreateOptions {
  const ports = options.publish.map(parsePublish)
  const bindings: Record<string, { HostIp: string; HostPort: string }[]> = {}
  for (const port of ports) (bindings[port.container] ??= []).push(port.binding)
  return {
    Image: image,
    Cmd: [...command],
    Env: options.env,
    AttachStdout: options.detach !== true,
    AttachStderr: options.detach !== true,
    ExposedPorts: Object.fromEntries(ports.map((port) => [port.container, {}])),
    HostConfig: {
      AutoRemove: options.rm === true,
      Binds: options.volume,
      PortBindings: bindings,
      ...(options.network === undefined ? {} : { NetworkMode: options.network }),
    },
    ...(options.name === undefined ? {} : { name: options.name }),
  }
}

async function foreground(docker: Docker, container: Container, autoRemove: boolean): Promise<number> {
  const stream = await container.attach({ stream: true, stdout: true, stderr: true })
  docker.modem.demuxStream(stream, process.stdout, process.stderr)
  const printed = new Promise((resolve) => stream.once('end', resolve).once('close', resolve))
  // Asked before the start: a container that removes itself may be gone afterwards.
  const ended = container.wait({ condition: autoRemove ? 'removed' : 'next-exit' }) as Promise<{ StatusCode: number }>
  ended.catch(() => undefined)
  const forward = (signal: NodeJS.Signals): void => void container.kill({ signal }).catch(() => undefined)
  process.on('SIGINT', forward).on('SIGTERM', forward)
  try {
    await container.start()
    await printed
    return (await ended).StatusCode
  } finally {
    process.off('SIGINT', forward).off('SIGTERM', forward)
  }
}
