import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createFailure, execFailure, logrusMessage } from './errors.ts'

describe('runtime errors', () => {
  it('are taken from logrus lines', () => {
    const stderr =
      'time="2026-11-21T01:59:35Z" level=warning msg="no matter"\n' +
      'time="2026-11-21T01:59:35Z" level=error msg="runc create failed: exec: \\"/nope\\": stat /nope: no such file or directory"\n'
    assert.equal(logrusMessage(stderr), 'runc create failed: exec: "/nope": stat /nope: no such file or directory')
    assert.equal(logrusMessage('level=error msg=short\n'), 'short')
    assert.equal(logrusMessage('just text\n'), 'just text')
  })
  it('are worded as Docker’s, with the exit code that the CLI takes', () => {
    const missing = createFailure('runc create failed: exec: "x": executable file not found in $PATH')
    assert.equal(
      missing.message,
      'failed to create task for container: failed to create shim task: OCI runtime create failed: ' +
        'runc create failed: exec: "x": executable file not found in $PATH: unknown',
    )
    assert.deepEqual([missing.kind, missing.details], ['invalid', { exitCode: 127 }])
    assert.deepEqual(createFailure('exec: permission denied').details, { exitCode: 126 })
    const other = createFailure('no space left on device')
    assert.deepEqual([other.kind, other.details], ['internal', { exitCode: 128 }])
    assert.match(
      execFailure('exec failed: x: no such file or directory').message,
      /^OCI runtime exec failed: exec failed: .*: unknown$/,
    )
  })
})
