import { createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'
import { withDocker } from './docker.ts'
import { CliError } from './fail.ts'

/** `gantry import`: the API's image create from an archive. Prints the image's id. */
export async function importImage(file: string, image: string, options: { change: readonly string[] }): Promise<void> {
  const { repo, tag } = splitReference(image)
  await withDocker(async (docker) => {
    const archive = file === '-' ? process.stdin : createReadStream(file)
    // The client library sends no parameter twice; the API reads one with several lines as well.
    const changes = options.change.join('\n')
    const progress = await docker.importImage(archive, { fromSrc: '-', repo, tag, changes })
    for await (const line of createInterface({ input: progress })) {
      const { error, status } = JSON.parse(line) as { error?: string; status?: string }
      if (error !== undefined) throw new CliError(error)
      if (status !== undefined) process.stdout.write(`${status}\n`)
    }
  })
}

/** `registry:5000/name:tag`: the tag is what follows the last colon behind the last slash. */
function splitReference(image: string): { repo: string; tag: string } {
  const colon = image.lastIndexOf(':')
  if (colon <= image.lastIndexOf('/')) return { repo: image, tag: 'latest' }
  return { repo: image.slice(0, colon), tag: image.slice(colon + 1) }
}
