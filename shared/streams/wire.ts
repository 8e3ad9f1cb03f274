/** The one method of streams.proto, as HTTP/2 sees it. */
export const OPEN_PATH = '/gantry.streams.v1.Streams/Open'

/** Key of the ticket in the call's metadata. */
export const TICKET_KEY = 'ticket'

/** Longest data of one frame: well below gRPC's 4 MiB message limit, large enough that headers do not count. */
export const MAX_FRAME = 256 * 1024

/**
 * What a server may have on its way to a client that has not read it yet. With HTTP/2's default of 64 KB a sender waits for the
 * reader's answer after each chunk. The other direction keeps the default: Node's HTTP/2 stops reading while a write of its own waits
 * for room in the socket, and with both directions wider than the socket's buffer both ends would wait for each other for ever.
 */
export const CLIENT_WINDOW = 2 * 1024 * 1024
