import Type, { type TSchema } from 'typebox'

/** Short names for the types of Docker's request bodies. All members are optional there: absent is Go's zero value. */
export const text = Type.Optional(Type.String())
export const flag = Type.Optional(Type.Boolean())
export const int = Type.Optional(Type.Integer())
export const texts = Type.Optional(Type.Array(Type.String()))
/** A list of strings that may be written as one (Cmd, Entrypoint). */
export const command = Type.Optional(Type.Array(Type.String(), { orString: true }))
export const textMap = Type.Optional(Type.Record(Type.String(), Type.String()))
/** A set: `{"80/tcp": {}}`. */
export const set = Type.Optional(Type.Record(Type.String(), Type.Object({})))
export const list = <T extends TSchema>(item: T) => Type.Optional(Type.Array(item))
export const mapOf = <T extends TSchema>(item: T) => Type.Optional(Type.Record(Type.String(), item))
export const struct = <T extends Record<string, TSchema>>(members: T) => Type.Optional(Type.Object(members))
export const any = Type.Optional(Type.Unknown())
