import { withDocker } from './docker.ts'
import { duration, table } from './table.ts'

/** `gantry images` */
export async function images(name: string | undefined, options: { quiet?: boolean }): Promise<void> {
  const filters = name === undefined ? {} : { reference: [name] }
  const list = await withDocker((docker) => docker.listImages({ filters: JSON.stringify(filters) }))
  const id = (image: { Id: string }): string => image.Id.replace(/^sha256:/, '').slice(0, 12)
  if (options.quiet === true) {
    process.stdout.write(list.map((image) => `${id(image)}\n`).join(''))
    return
  }
  const rows = list.flatMap((image) =>
    (image.RepoTags ?? ['<none>']).map((tag) => [
      tag,
      id(image),
      `${duration(Date.now() / 1000 - image.Created)} ago`,
      `${(image.Size / 1e6).toFixed(1)} MB`,
    ]),
  )
  process.stdout.write(table([['IMAGE', 'ID', 'CREATED', 'SIZE'], ...rows]))
}
