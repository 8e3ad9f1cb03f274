import assert from 'node:assert/strict'
import { closeSync, openSync } from 'node:fs'
import { it } from 'node:test'
import { syscallFn } from './libc.ts'
import { Nft } from './nft.ts'

it('nft works in a process with thousands of files', () => {
  syscallFn('int unshare(int flags)')(0x40000000)
  const files = Array.from({ length: 1500 }, () => openSync('/dev/null', 'r'))
  try {
    for (let i = 0; i < 10; i++) {
      const [one, two] = [new Nft(), new Nft()]
      one.run('add table inet many')
      assert.match(two.run('list tables'), /table inet many/)
      one.close()
      two.close()
      // Whatever is free is taken by others.
      files.push(openSync('/dev/null', 'r'))
    }
  } finally {
    files.forEach((fd) => closeSync(fd))
  }
})
