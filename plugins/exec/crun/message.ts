/**
 * crun's message without the time stamp that some versions put before it, the last line that is no warning. Commands that
 * cannot be run are worded as runc's, which is what Docker's clients know.
 */
export function message(stderr: string): string {
  const lines = stderr
    .split('\n')
    .map((line) => line.replace(/^\d{4}-\d{2}-\d{2}T[0-9:.]+Z:?\s*/, '').trim())
    .filter((line) => line !== '')
  const last = lines.findLast((line) => !/^(warning|debug)\b/i.test(line)) ?? lines.at(-1) ?? ''
  return `crun: ${asRunc(last)}`
}

function asRunc(said: string): string {
  const failed = (why: string): string => `unable to start container process: exec: ${why}`
  const missing = /^executable file `(.*)` not found(?: in \$PATH)?(?:: .*)?$/.exec(said)?.[1]
  if (missing?.includes('/')) return failed(`${JSON.stringify(missing)}: stat ${missing}: no such file or directory`)
  if (missing !== undefined) return failed(`${JSON.stringify(missing)}: executable file not found in $PATH`)
  if (/^open executable: permission denied$/i.test(said)) return failed('permission denied')
  return said
}
