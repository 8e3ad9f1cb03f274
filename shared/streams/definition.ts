import { join } from 'node:path'
import { loadPackageDefinition, type ServiceDefinition } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import type { Frame } from './types.ts'

interface Loaded {
  gantry: { streams: { v1: { Streams: { service: ServiceDefinition } } } }
}

const definition = loadSync(join(import.meta.dirname, 'streams.proto'), { defaults: true, bytes: Buffer })

export const streamsService = (loadPackageDefinition(definition) as unknown as Loaded).gantry.streams.v1.Streams.service

/** Path of the one method, as HTTP/2 sees it. */
export const OPEN = streamsService['Open']!

export const TICKET_KEY = 'ticket'

/** Longest data of one frame: well below gRPC's 4 MiB message limit, large enough that headers do not count. */
export const MAX_FRAME = 256 * 1024

export const EMPTY = new Uint8Array(0)

export type WireFrame = Frame
