/** Messages on the bus are JSON in UTF-8. */
export const encode = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value))

export const decode = (data: Uint8Array): unknown =>
  data.length === 0
    ? undefined
    : (JSON.parse(Buffer.from(data.buffer, data.byteOffset, data.length).toString()) as unknown)
