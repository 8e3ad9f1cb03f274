// Bundles the project into dist/: one file for each thing that is started or loaded by name, what they share in chunks. Hundreds of
// small modules, most of them of npm packages, would cost each service more memory and time than its own code does. The new dist/
// replaces the old in one step, so that an engine that runs from it never finds half of it, and nothing stale stays.
// Types are not checked here: `npm run check` does that.
import {
  copyFileSync,
  existsSync,
  globSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const project = fileURLToPath(new URL('../..', import.meta.url))
const target = join(project, 'dist')
const fresh = join(project, `dist.${process.pid}`)
const started = new Date()

const sources = globSync('{shared,services,plugins}/**/*.ts', {
  cwd: project,
  exclude: (path) => /(^|\/)(golden|node_modules|testdata)$|\.test\.ts$/.test(String(path)),
})
const text = new Map(sources.map((path) => [path, readFileSync(join(project, path), 'utf8')]))

/** Modules that ask where they are have files beside them or are loaded by their address: they keep their places. */
const placed = sources.filter((path) => text.get(path).includes('import.meta.'))
const entries = [
  'services/cli/main.ts',
  'services/cli/service-process.ts',
  'services/supervisor/main.ts',
  'shared/kernel/offload-worker.ts',
  ...globSync('plugins/*/[!_]*/index.ts', { cwd: project }),
  ...placed,
]

/** A chunk may be in another folder than its modules were: what they read of import.meta is worked out from the root of dist/. */
const keepAddresses = {
  name: 'keep-addresses',
  setup({ onLoad }) {
    onLoad({ filter: /\.ts$/ }, ({ path }) => {
      const source = relative(project, path)
      if (!placed.includes(source)) return undefined
      const url = `new URL(${JSON.stringify(source.replace(/\.ts$/, '.js'))}, GANTRY_DIST).href`
      const contents = text
        .get(source)
        .replaceAll('import.meta.url', url)
        .replaceAll(
          'import.meta.dirname',
          `process.getBuiltinModule('node:path').dirname(process.getBuiltinModule('node:url').fileURLToPath(${url}))`,
        )
      return { contents, loader: 'ts' }
    })
  },
}

const PLACE = '@PLACE@'
const { outputFiles } = await build({
  absWorkingDir: project,
  entryPoints: [...new Set(entries)],
  outbase: project,
  outdir: fresh,
  bundle: true,
  splitting: true,
  chunkNames: 'chunks/[name]-[hash]',
  format: 'esm',
  platform: 'node',
  target: 'node24',
  minifyWhitespace: true,
  minifySyntax: true,
  legalComments: 'none',
  // Native addons (dockerode has some below it) find their binaries beside themselves. gRPC asks for its loader of .proto files only
  // when its own debugging service is used, which nothing here offers.
  external: ['koffi', 'netlink', 'dockerode', '@grpc/proto-loader'],
  // Packages in CommonJS call require().
  banner: {
    js:
      "import{createRequire as GANTRY_REQUIRE}from'node:module';const require=GANTRY_REQUIRE(import.meta.url)," +
      `GANTRY_DIST=new URL('${PLACE}',import.meta.url);`,
  },
  plugins: [keepAddresses],
  logLevel: 'warning',
  write: false,
}).catch(() => process.exit(1))

for (const { path, text: code } of outputFiles) {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, code.replace(PLACE, `${relative(dirname(path), fresh) || '.'}/`))
}
const assets = globSync('{shared,services,plugins}/**/*.{sql,pl}', { cwd: project })
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
