import { invalid } from '../../../shared/errors/index.ts'

/** Records of a pax extended header: key to value, both byte strings. An empty value deletes the key. */
export type PaxRecords = ReadonlyMap<string, string>

/** Parses `"<length> <key>=<value>\n"`*; values are bytes (an extended attribute's value may hold anything). */
export function parsePax(data: Buffer): PaxRecords {
  const records = new Map<string, string>()
  let at = 0
  while (at < data.length) {
    const space = data.indexOf(0x20, at)
    const length = space < 0 ? NaN : Number(data.toString('latin1', at, space))
    const end = at + length
    if (!Number.isInteger(length) || end > data.length || end <= space + 1 || data[end - 1] !== 0x0a) {
      throw invalid('tar: damaged pax header')
    }
    const record = data.toString('latin1', space + 1, end - 1)
    const equals = record.indexOf('=')
    if (equals < 1) throw invalid('tar: damaged pax header')
    records.set(record.slice(0, equals), record.slice(equals + 1))
    at = end
  }
  return records
}

export function paxNumber(records: PaxRecords, key: string): number | undefined {
  const text = records.get(key)
  if (text === undefined || text === '') return undefined
  if (!/^-?\d{1,15}$/.test(text)) throw invalid(`tar: pax ${key} is not a number: ${JSON.stringify(text)}`)
  return Number(text)
}

/** A time with any number of decimals, as nanoseconds. */
export function paxTime(records: PaxRecords, key: string): bigint | undefined {
  const text = records.get(key)
  if (text === undefined || text === '') return undefined
  const match = /^(-?)(\d{1,12})(?:\.(\d*))?$/.exec(text)
  if (!match) throw invalid(`tar: pax ${key} is not a time: ${JSON.stringify(text)}`)
  const [, sign, seconds, fraction] = match
  const ns = BigInt(seconds ?? '0') * 1_000_000_000n + BigInt((fraction ?? '').slice(0, 9).padEnd(9, '0'))
  return sign === '-' ? -ns : ns
}

const XATTR = 'SCHILY.xattr.'

export function paxXattrs(records: PaxRecords): ReadonlyMap<string, Buffer> {
  const found = new Map<string, Buffer>()
  for (const [key, value] of records) {
    if (key.startsWith(XATTR)) found.set(key.slice(XATTR.length), Buffer.from(value, 'latin1'))
  }
  return found
}
