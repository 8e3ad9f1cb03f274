import { withDocker } from './docker.ts'

/** `gantry logs` */
export async function logs(ref: string, options: { follow?: boolean }): Promise<void> {
  await withDocker(async (docker) => {
    const container = docker.getContainer(ref)
    const { Config } = await container.inspect()
    const output = { stdout: true, stderr: true } as const
    if (options.follow !== true) {
      const text = await container.logs({ ...output, follow: false })
      if (Config.Tty) process.stdout.write(text)
      else for (const [channel, data] of frames(text)) (channel === 2 ? process.stderr : process.stdout).write(data)
      return
    }
    const stream = await container.logs({ ...output, follow: true })
    if (Config.Tty) stream.pipe(process.stdout)
    else docker.modem.demuxStream(stream, process.stdout, process.stderr)
    await new Promise((resolve) => stream.once('end', resolve).once('close', resolve))
  })
}

/** The frames of a multiplexed stream: one byte channel, three unused, four length, then the data. */
function* frames(text: Buffer): Generator<[number, Buffer]> {
  for (let at = 0; at + 8 <= text.length;) {
    const length = text.readUInt32BE(at + 4)
    yield [text.readUInt8(at), text.subarray(at + 8, at + 8 + length)]
    at += 8 + length
  }
}
