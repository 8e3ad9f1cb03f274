// Compiles the project into dist/: tsc, then the files that modules read beside themselves (.proto, JSON, SQL, a Perl program). The new dist/
// replaces the old in one step, so that an engine that runs from it never finds half of it, and nothing stale stays.
import { spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, globSync, mkdirSync, renameSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const project = fileURLToPath(new URL('../..', import.meta.url))
const target = join(project, 'dist')
const fresh = join(project, `dist.${process.pid}`)
const started = new Date()

const tsc = join(project, 'node_modules', 'typescript', 'bin', 'tsc')
const compiled = spawnSync(process.execPath, [tsc, '-p', 'tsconfig.build.json', '--outDir', fresh, '--noEmitOnError'], {
  cwd: project,
  stdio: 'inherit',
})
if (compiled.status !== 0) {
  rmSync(fresh, { recursive: true, force: true })
  process.exit(compiled.status ?? 1)
}

const assets = globSync('{shared,services,plugins}/**/*.{proto,json,sql,pl}', {
  cwd: project,
  exclude: (path) => /(^|\/)(golden|node_modules|testdata)(\/|$)/.test(String(path)),
})
for (const asset of assets) {
  mkdirSync(dirname(join(fresh, asset)), { recursive: true })
  copyFileSync(join(project, asset), join(fresh, asset))
}
// The launcher compares the sources' times with this file's: a source changed during the build is newer.
const mark = join(fresh, '.built')
writeFileSync(mark, '')
utimesSync(mark, started, started)

const old = `${fresh}.old`
if (existsSync(target)) renameSync(target, old)
renameSync(fresh, target)
rmSync(old, { recursive: true, force: true })
