interface Summary {
  readonly file?: string
  readonly counts: Record<'passed' | 'failed' | 'cancelled' | 'skipped' | 'todo', number>
}

/** A reporter for node's test runner that writes one line at the end: passed, failed (or cancelled), skipped (or to do). */
export default async function* countReporter(
  source: AsyncIterable<{ type: string; data: unknown }>,
): AsyncGenerator<string> {
  for await (const event of source) {
    if (event.type !== 'test:summary') continue
    const { file, counts } = event.data as Summary
    if (file === undefined)
      yield `${counts.passed} ${counts.failed + counts.cancelled} ${counts.skipped + counts.todo}\n`
  }
}
