import { createReadStream, createWriteStream, existsSync, watch } from 'node:fs'
import { open, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { createGzip } from 'node:zlib'
import { logFiles } from './files.ts'

const REOPEN_TIMEOUT_MS = 2000

/** How large a log may become: `maxFiles` files of `maxSize` bytes. */
export interface LogBounds {
  readonly maxSize: number
  readonly maxFiles: number
  readonly compress: boolean
}

/**
 * Brings a log back within its bounds. While conmon writes it, a file that is too large is renamed and conmon told (`reopen`) to go on in a
 * new one; nothing is lost in between, since conmon writes to the old one until it has the new. (conmon's own --log-size-max
 * throws the full file away.) What grew far beyond the bounds meanwhile is cut at its beginning, at the start of a line.
 */
export async function boundLog(path: string, bounds: LogBounds, reopen: (() => void) | undefined): Promise<void> {
  const size = await sizeOf(path)
  if (size <= bounds.maxSize) return
  if (!reopen) {
    await cutBeginning(path, bounds.maxSize)
    await dropOld(path, bounds)
    return
  }
  await shift(path, bounds)
  const reopened = appears(path)
  reopen()
  await reopened
  const rotated = `${path}.1`
  await cutBeginning(rotated, bounds.maxSize * Math.max(1, bounds.maxFiles - 1))
  if (bounds.maxFiles === 1) await rm(rotated, { force: true })
  else if (bounds.compress) await compress(rotated)
}

/** Resolves when conmon has made the new file: until then it writes to the old one. Gives up on a conmon that is gone. */
function appears(path: string): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer)
      watcher.close()
      resolve()
    }
    const timer = setTimeout(done, REOPEN_TIMEOUT_MS).unref()
    const watcher = watch(dirname(path), { persistent: false }, (_, name) => {
      if (name === basename(path) && existsSync(path)) done()
    })
    watcher.on('error', done)
  })
}

async function sizeOf(path: string): Promise<number> {
  return stat(path).then(
    (s) => s.size,
    () => 0,
  )
}

/** `log.1` becomes `log.2`, `log` becomes `log.1`; the oldest goes. */
async function shift(path: string, bounds: LogBounds): Promise<void> {
  const rotated = logFiles(path).slice(0, -1).reverse()
  for (let n = rotated.length; n >= 1; n--) {
    const file = rotated[n - 1]
    if (file === undefined) continue
    const suffix = file.endsWith('.gz') ? '.gz' : ''
    if (n + 1 >= bounds.maxFiles) await rm(file, { force: true })
    else await rename(file, `${path}.${n + 1}${suffix}`)
  }
  await rename(path, `${path}.1`)
}

async function dropOld(path: string, bounds: LogBounds): Promise<void> {
  const rotated = logFiles(path).slice(0, -1).reverse()
  for (const file of rotated.slice(Math.max(0, bounds.maxFiles - 1))) await rm(file, { force: true })
}

/** Keeps the last `keep` bytes of a file, from the start of a line on. */
async function cutBeginning(path: string, keep: number): Promise<void> {
  const size = await sizeOf(path)
  // A little over costs less than copying.
  if (size <= keep * 1.25) return
  const file = await open(path, 'r')
  let start = size - keep
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(16 * 1024), 0, 16 * 1024, start)
    start += buffer.subarray(0, bytesRead).indexOf(0x0a) + 1
  } finally {
    await file.close()
  }
  const shorter = `${path}.cut`
  await pipeline(createReadStream(path, { start }), createWriteStream(shorter, { mode: 0o600 }))
  await rename(shorter, path)
}

async function compress(path: string): Promise<void> {
  const packed = `${path}.packing`
  await pipeline(createReadStream(path), createGzip(), createWriteStream(packed, { mode: 0o600 }))
  await rename(packed, `${path}.gz`)
  await rm(path, { force: true })
}
