/** DNS over TCP: each message after its length in two bytes (RFC 1035 4.2.2). */

export function frame(message: Uint8Array): Buffer {
  const out = Buffer.alloc(2 + message.length)
  out.writeUInt16BE(message.length, 0)
  out.set(message, 2)
  return out
}

/** Puts a byte stream together into messages. */
export class Deframer {
  #pending: Buffer = Buffer.alloc(0)

  /** The messages that are whole after this piece. */
  push(piece: Buffer): Buffer[] {
    this.#pending = this.#pending.length === 0 ? piece : Buffer.concat([this.#pending, piece])
    const messages: Buffer[] = []
    while (this.#pending.length >= 2) {
      const end = 2 + this.#pending.readUInt16BE(0)
      if (this.#pending.length < end) break
      messages.push(this.#pending.subarray(2, end))
      this.#pending = this.#pending.subarray(end)
    }
    return messages
  }
}
