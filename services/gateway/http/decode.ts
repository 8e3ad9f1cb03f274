import type { Static, TSchema } from 'typebox'
import { invalid } from '../../../shared/errors/index.ts'

/** What is read of a TypeBox schema (which is JSON Schema). */
interface Shape {
  type?: string
  properties?: Record<string, Shape>
  patternProperties?: Record<string, Shape>
  items?: Shape
  /** Ours: a list of strings that may also be written as one string (Docker's StrSlice: Cmd, Entrypoint). */
  orString?: boolean
}

const INT64 = 2 ** 63

/**
 * Reads a JSON body as the Docker daemon (Go's encoding/json) would: `null` counts as absent, member names are matched
 * without regard to case, unknown members pass; a wrong type is refused, naming the field.
 * @throws invalid with details.field
 */
export const decode = <T extends TSchema>(schema: T, value: unknown): Static<T> =>
  readOrZero(schema, value, '') as Static<T>

function read(shape: Shape, value: unknown, path: string): unknown {
  switch (shape.type) {
    case 'object':
      return shape.properties ? readStruct(shape.properties, value, path) : readMap(shape, value, path)
    case 'array':
      if (shape.orString === true && typeof value === 'string') return [value]
      if (!Array.isArray(value)) return refuse(path, 'a list', value)
      return value.map((v, i) => readOrZero(shape.items ?? {}, v, `${path}[${i}]`))
    case 'integer':
      if (typeof value !== 'number' || !Number.isInteger(value)) return refuse(path, 'an integer', value)
      return Math.abs(value) <= INT64 ? value : refuse(path, 'a 64-bit integer', value)
    case undefined:
      return value
    default:
      return typeof value === shape.type ? value : refuse(path, `a ${shape.type}`, value)
  }
}

function readStruct(properties: Record<string, Shape>, value: unknown, path: string): Record<string, unknown> {
  const members = Object.entries(object(value, path)).filter(([, member]) => member !== null)
  return Object.fromEntries(
    members.map(([key, member]) => {
      const name = Object.hasOwn(properties, key) ? key : (nameOf(properties, key) ?? key)
      const shape = Object.hasOwn(properties, name) ? properties[name] : undefined
      return [name, shape ? read(shape, member, join(path, name)) : member]
    }),
  )
}

function readMap(shape: Shape, value: unknown, path: string): Record<string, unknown> {
  const member = Object.values(shape.patternProperties ?? {})[0] ?? {}
  return Object.fromEntries(
    Object.entries(object(value, path)).map(([key, v]) => [key, readOrZero(member, v, join(path, key))]),
  )
}

const readOrZero = (shape: Shape, value: unknown, path: string): unknown =>
  value === null ? zero(shape) : read(shape, value, path)

function zero(shape: Shape): unknown {
  const zeros: Record<string, unknown> = { object: {}, array: [], string: '', integer: 0, number: 0, boolean: false }
  return shape.type === undefined ? null : zeros[shape.type]
}

function object(value: unknown, path: string): object {
  if (value !== null && typeof value === 'object' && !Array.isArray(value)) return value
  return refuse(path, 'an object', value)
}

const nameOf = (properties: Record<string, Shape>, key: string): string | undefined =>
  Object.keys(properties).find((name) => name.toLowerCase() === key.toLowerCase())

const join = (path: string, name: string): string => (path === '' ? name : `${path}.${name}`)

function refuse(path: string, wanted: string, value: unknown): never {
  const field = path === '' ? 'the body' : path
  const text = JSON.stringify(value)
  const got = text.length > 60 ? `${text.slice(0, 60)}...` : text
  throw invalid(`invalid JSON: ${field} must be ${wanted}, not ${got}`, { details: { field } })
}
