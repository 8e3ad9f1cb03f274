/** A value that is made when it is first asked for: a compiled schema, for one, costs more than the requests of an idle service do. */
export function lazy<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined
  return () => (made ??= { value: make() }).value
}
