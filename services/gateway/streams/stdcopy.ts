/** Stream types of Docker's multiplexed format; 3 carries an error of the engine. */
export const STDERR = 2
export const SYSTEM_ERROR = 3

/**
 * The header before each frame of a multiplexed stream: stream type, three zero bytes, length (big endian).
 * https://docs.docker.com/reference/api/engine/version/v1.51/#tag/Container/operation/ContainerAttach
 */
export function frameHeader(type: number, length: number): Buffer {
  const header = Buffer.allocUnsafe(8)
  header.writeUInt32BE(type << 24, 0)
  header.writeUInt32BE(length, 4)
  return header
}

const FIRST_WITH_MULTIPLEXED_TYPE = 42

/** The media type of a log or stdio stream: clients choose the demultiplexer by it. */
export const streamMediaType = (multiplexed: boolean, api: number): string =>
  multiplexed && api >= FIRST_WITH_MULTIPLEXED_TYPE
    ? 'application/vnd.docker.multiplexed-stream'
    : 'application/vnd.docker.raw-stream'
