import { invalid } from '../../../shared/errors/index.ts'

/** Words of a Dockerfile line, split at blanks outside quotes; quotes and backslashes stay for `expand`. */
export function splitWords(text: string): string[] {
  const words: string[] = []
  let word = ''
  let inWord = false
  let quote = ''
  for (let i = 0; i < text.length; i++) {
    const ch = text.charAt(i)
    if (quote === '' && /\s/.test(ch)) {
      if (inWord) words.push(word)
      word = ''
      inWord = false
      continue
    }
    inWord = true
    word += ch
    if (ch === '\\' && quote !== "'" && i + 1 < text.length) word += text.charAt(++i)
    else if (quote === '' && (ch === '"' || ch === "'")) quote = ch
    else if (ch === quote) quote = ''
  }
  if (quote !== '')
    throw invalid(
      `unexpected end of statement while looking for matching ${quote === '"' ? 'double-' : 'single-'}quote`,
    )
  if (inWord) words.push(word)
  return words
}

/**
 * Takes quotes and backslashes away and puts variables in: `$NAME`, `${NAME}`, `${NAME:-default}`, `${NAME:+other}`,
 * `${NAME:?message}`; none inside single quotes. An unknown variable is empty.
 */
export function expand(word: string, env: ReadonlyMap<string, string>): string {
  return new Expander(word, env).run()
}

class Expander {
  readonly #text: string
  readonly #env: ReadonlyMap<string, string>
  #at = 0

  constructor(text: string, env: ReadonlyMap<string, string>) {
    this.#text = text
    this.#env = env
  }

  run(): string {
    return this.#until('')
  }

  #peek = (): string => this.#text.charAt(this.#at)

  #next(): string {
    return this.#text.charAt(this.#at++)
  }

  /** Up to (and without) one of `ends`, or the end. */
  #until(ends: string): string {
    let out = ''
    while (this.#at < this.#text.length && !(ends !== '' && ends.includes(this.#peek()))) {
      const ch = this.#next()
      if (ch === "'") out += this.#single()
      else if (ch === '"') out += this.#double()
      else if (ch === '$') out += this.#variable()
      else if (ch === '\\') out += this.#at < this.#text.length ? this.#next() : '\\'
      else out += ch
    }
    return out
  }

  #single(): string {
    const end = this.#text.indexOf("'", this.#at)
    if (end < 0) throw invalid('unexpected end of statement while looking for matching single-quote')
    const out = this.#text.slice(this.#at, end)
    this.#at = end + 1
    return out
  }

  #double(): string {
    let out = ''
    while (this.#at < this.#text.length) {
      const ch = this.#next()
      if (ch === '"') return out
      if (ch === '$') out += this.#variable()
      // Inside double quotes a backslash only escapes what would have a meaning there.
      else if (ch === '\\' && /["$\\]/.test(this.#peek())) out += this.#next()
      else out += ch
    }
    throw invalid('unexpected end of statement while looking for matching double-quote')
  }

  #variable(): string {
    if (this.#peek() !== '{') {
      const name = /^(?:[A-Za-z_][A-Za-z0-9_]*|[0-9@*#?!$-])/.exec(this.#text.slice(this.#at))?.[0]
      if (name === undefined) return '$'
      this.#at += name.length
      return this.#env.get(name) ?? ''
    }
    this.#at++
    const name = /^[A-Za-z_][A-Za-z0-9_]*|^[0-9]+/.exec(this.#text.slice(this.#at))?.[0]
    if (name === undefined) throw invalid('syntax error: bad substitution')
    this.#at += name.length
    const value = this.#modified(name)
    if (this.#next() !== '}') throw invalid("syntax error: missing '}'")
    return value
  }

  #modified(name: string): string {
    const value = this.#env.get(name)
    const colon = this.#peek() === ':'
    const operator = this.#text.charAt(this.#at + (colon ? 1 : 0))
    if (!'-+?'.includes(operator) || operator === '') {
      if (this.#peek() !== '}') throw invalid(`unsupported modifier (${this.#peek()}) in substitution`)
      return value ?? ''
    }
    this.#at += colon ? 2 : 1
    const word = this.#until('}')
    const set = value !== undefined && !(colon && value === '')
    if (operator === '+') return set ? word : ''
    if (set) return value
    if (operator === '?') throw invalid(`${name}: ${word || 'not allowed to be unset'}`)
    return word
  }
}
