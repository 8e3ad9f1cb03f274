import { Command } from 'commander'
import { removeLeftovers } from './containers.ts'
import { hasDockerd, startDockerd } from './dockerd.ts'
import { startGantry } from './gantry.ts'
import { report, reportHeading } from './report.ts'
import { ROWS, type Row } from './rows.ts'
import type { Subject } from './subject.ts'

/**
 * `npm run bench`: Gantry, in six processes and in one, beside a real dockerd where Debian's docker.io is installed; on one
 * machine, in one run, round by round in turn. Prints medians, and ratios to dockerd.
 */
const options = new Command('bench')
  .option('--engines <names>', 'of gantry, gantry-single, docker', 'gantry,gantry-single,docker')
  .option('--only <text>', 'only rows whose name has this')
  .option('--rounds <factor>', 'more or fewer rounds', '1')
  .parse()
  .opts<{ engines: string; only?: string; rounds: string }>()

const STARTERS: Readonly<Record<string, () => Promise<Subject>>> = {
  gantry: () => startGantry(false),
  'gantry-single': () => startGantry(true),
  docker: startDockerd,
}

async function main(): Promise<void> {
  const subjects: Subject[] = []
  try {
    for (const name of options.engines.split(',')) {
      const starter = STARTERS[name]
      if (starter === undefined) throw new Error(`no engine "${name}": there are ${Object.keys(STARTERS).join(', ')}`)
      if (name === 'docker' && !hasDockerd())
        console.log('dockerd is not installed (apt-get install docker.io): no comparison')
      else subjects.push(await starter())
    }
    console.log(reportHeading(subjects))
    for (const row of ROWS) {
      if (options.only === undefined || row.name.includes(options.only))
        console.log(report(row, subjects, await measure(row, subjects)))
    }
  } finally {
    for (const subject of subjects) await subject.stop()
  }
}

/** Times of each subject by name; an error ends the subject's part in the row. */
async function measure(row: Row, subjects: readonly Subject[]): Promise<Map<string, number[] | Error>> {
  const times = new Map<string, number[] | Error>()
  const rounds = Math.max(1, Math.round(row.rounds * Number(options.rounds)))
  for (let round = 0; round < rounds; round++) {
    for (const subject of subjects) {
      if (subject.reference && row.notForReference !== undefined) continue
      const soFar = times.get(subject.name) ?? []
      if (soFar instanceof Error) continue
      try {
        times.set(subject.name, [...soFar, await row.measure(subject)])
      } catch (error) {
        times.set(subject.name, error instanceof Error ? error : new Error(String(error)))
        await removeLeftovers(subject).catch((left: unknown) => console.error(`${subject.name}: ${String(left)}`))
      }
    }
  }
  return times
}

await main()
