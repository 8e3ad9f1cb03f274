/**
 * crun's message without the time stamp that some versions put before it, the last line that is no warning. Missing commands are
 * worded as runc's, which is what Docker's clients know.
 */
export function message(stderr: string): string {
  const lines = stderr
    .split('\n')
    .map((line) => line.replace(/^\d{4}-\d{2}-\d{2}T[0-9:.]+Z:?\s*/, '').trim())
    .filter((line) => line !== '')
  const last = lines.findLast((line) => !/^(warning|debug)\b/i.test(line)) ?? lines.at(-1) ?? ''
  const missing = /^executable file `(.*)` not found(?: in \$PATH)?(?:: .*)?$/.exec(last)
  if (missing) {
    return `crun: unable to start container process: exec: ${JSON.stringify(missing[1])}: executable file not found in $PATH`
  }
  return `crun: ${last}`
}
