import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { pack } from 'tar-stream'
import { api } from './api.ts'

/** The image that tests run: busybox with every applet, users root and web (1000), a page under /www. */
export const IMAGE = 'test/busybox'

const FILES: Readonly<Record<string, string>> = {
  'etc/passwd': 'root:x:0:0:root:/root:/bin/sh\nweb:x:1000:1000::/www:/bin/sh\n',
  'etc/group': 'root:x:0:\nweb:x:1000:\n',
  'www/index.html': 'hello-from-httpd\n',
}

/** A root file system as a tar archive. Needs Debian's busybox-static. */
export async function busyboxArchive(): Promise<Buffer> {
  const program = execFileSync('sh', ['-c', 'command -v busybox'], { encoding: 'utf8' }).trim()
  const applets = execFileSync(program, ['--list'], { encoding: 'utf8' }).split('\n')
  const archive = pack()
  for (const name of ['bin', 'etc', 'root', 'var', 'www', 'data'])
    archive.entry({ name, type: 'directory', mode: 0o755 })
  archive.entry({ name: 'tmp', type: 'directory', mode: 0o1777 })
  archive.entry({ name: 'bin/busybox', mode: 0o755 }, readFileSync(program))
  for (const applet of applets) {
    if (applet !== '' && applet !== 'busybox') {
      archive.entry({ name: `bin/${applet}`, type: 'symlink', linkname: 'busybox' })
    }
  }
  for (const [name, text] of Object.entries(FILES)) archive.entry({ name, mode: 0o644 }, text)
  archive.finalize()
  const parts: Buffer[] = []
  for await (const part of archive) parts.push(part as Buffer)
  return Buffer.concat(parts)
}

/** Imports the image through a Docker API, which may be any engine's. */
export async function importBusybox(socket: string, image = IMAGE): Promise<void> {
  const query = new URLSearchParams({ fromSrc: '-', repo: image, tag: 'latest' })
  for (const change of ['ENV PATH=/bin', 'CMD ["sh"]']) query.append('changes', change)
  const reply = await api(socket, 'POST', `/images/create?${query.toString()}`, await busyboxArchive())
  // The reply is a progress stream: an error after its start is in its last line.
  if (reply.text().includes('"error"')) throw new Error(`import of ${image}: ${reply.text()}`)
}
