import assert from 'node:assert/strict'
import { it } from 'node:test'
import { message } from './message.ts'

it('takes crun’s message out of what it writes', () => {
  assert.equal(
    message('2026-11-21T01:59:35.000000Z: cgroups in hybrid mode not supported\n'),
    'crun: cgroups in hybrid mode not supported',
  )
  assert.equal(
    message('executable file `nope` not found in $PATH: No such file or directory\n'),
    'crun: unable to start container process: exec: "nope": executable file not found in $PATH',
  )
  assert.equal(
    message('[conmon:w]: x\nopen executable: Permission denied\n'),
    'crun: unable to start container process: exec: permission denied',
  )
  assert.equal(
    message('executable file `/no/pe` not found: No such file or directory\n'),
    'crun: unable to start container process: exec: "/no/pe": stat /no/pe: no such file or directory',
  )
})
