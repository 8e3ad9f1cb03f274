import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { psFailure, selectRows, splitArgs } from './top.ts'

describe('top', () => {
  it('keeps the rows of the processes, the command with its spaces', () => {
    const output = 'UID   PID  PPID CMD\nroot    1     0 init splash\nroot   42     1 sh -c  x y\n'
    assert.deepEqual(selectRows(output, [42]), {
      Titles: ['UID', 'PID', 'PPID', 'CMD'],
      Processes: [['root', '42', '1', 'sh -c x y']],
    })
  })
  it('keeps threads with their process', () => {
    const output = 'PID LWP CMD\n1 - a\n- 1 -\n42 - b\n- 42 -\n- 43 -\n'
    assert.deepEqual(selectRows(output, [42]).Processes, [
      ['42', '-', 'b'],
      ['-', '42', '-'],
      ['-', '43', '-'],
    ])
  })
  it('refuses what would hide the pid', () => {
    assert.throws(() => selectRows('COMMAND\nx\n', [1]), /Couldn't find PID field in ps output/)
    assert.throws(() => splitArgs('-o foo=PID'), /specifying "foo=PID" is not allowed/)
    assert.deepEqual(splitArgs(' -eo pid=PID,comm'), ['-eo', 'pid=PID,comm'])
  })
})

describe('a ps that fails', () => {
  it('is told by its first line, or by its exit code', () => {
    assert.equal(
      psFailure('error: unsupported SysV option\n\nUsage:\n ps\n', 1).message,
      'ps: error: unsupported SysV option',
    )
    assert.equal(psFailure('', 1).message, 'ps: exit status 1')
  })
})
