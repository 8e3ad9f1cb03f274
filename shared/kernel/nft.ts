import koffi, { type LibraryHandle } from 'koffi'
import { internal, unavailable } from '../errors/index.ts'
import { onLowFile, reclaimLowFile } from './low-files.ts'

/**
 * libnftables(3): a script in nft's own language runs as one transaction, in this process. libnftables talks netlink on a socket
 * of the network namespace in which the context was made.
 */

/** How often a script that a signal interrupts is sent. */
const RETRIES = 20

/** A `struct nft_ctx *`. */
type Context = object | bigint

/** enum nft_ctx_output flags, nftables/libnftables.h. */
const FLAG = { handle: 1 << 3, json: 1 << 4, terse: 1 << 11 } as const
type Flag = keyof typeof FLAG

function open(): LibraryHandle {
  try {
    return koffi.load('libnftables.so.1')
  } catch (cause) {
    throw unavailable('libnftables.so.1 cannot be loaded: install it (Debian: apt-get install libnftables1)', { cause })
  }
}

function declare(so: LibraryHandle) {
  return {
    make: so.func('void *nft_ctx_new(uint32_t flags)') as unknown as (flags: number) => Context | null,
    free: so.func('void nft_ctx_free(void *ctx)') as unknown as (context: Context) => void,
    bufferOutput: so.func('int nft_ctx_buffer_output(void *ctx)') as unknown as (context: Context) => number,
    bufferError: so.func('int nft_ctx_buffer_error(void *ctx)') as unknown as (context: Context) => number,
    output: so.func('const char *nft_ctx_get_output_buffer(void *ctx)') as unknown as (context: Context) => string,
    error: so.func('const char *nft_ctx_get_error_buffer(void *ctx)') as unknown as (context: Context) => string,
    setFlags: so.func('void nft_ctx_output_set_flags(void *ctx, unsigned int flags)') as unknown as (
      context: Context,
      flags: number,
    ) => void,
    run: so.func('int nft_run_cmd_from_buffer(void *ctx, const char *script)') as unknown as (
      context: Context,
      script: string,
    ) => number,
  }
}

let library: ReturnType<typeof declare> | undefined

/** A script that the kernel or nft's parser refused; `output` is what nft says, with the lines at fault. */
export class NftError extends Error {
  readonly output: string

  constructor(script: string, output: string) {
    super(`nft: ${output.trim().split('\n').slice(0, 3).join(' | ')} (in: ${script.slice(0, 200)})`)
    this.name = 'NftError'
    this.output = output
  }

  /** A table, chain, set or element that the script names is not there. */
  get missing(): boolean {
    return this.output.includes('No such file or directory')
  }

  /** Something that the script creates is there already. */
  get exists(): boolean {
    return this.output.includes('File exists')
  }
}

/** One libnftables context. Not to be shared between threads; every call is synchronous. */
export class Nft {
  readonly #library: NonNullable<typeof library>
  #context: Context | undefined

  /** Throws `unavailable` when the library is missing. */
  constructor() {
    library ??= declare(open())
    this.#library = library
    const { make } = this.#library
    const context = onLowFile(() => make(0))
    if (!context) {
      reclaimLowFile()
      throw internal('nft_ctx_new failed: no netlink socket, or out of memory')
    }
    this.#library.bufferOutput(context)
    this.#library.bufferError(context)
    this.#context = context
  }

  /** Runs a script, all of it or nothing; returns what nft prints. Throws NftError. */
  run(script: string, ...flags: Flag[]): string {
    const context = this.#context
    if (!context) throw internal('this nft context is closed')
    this.#library.setFlags(
      context,
      flags.reduce((all, flag) => all | FLAG[flag], 0),
    )
    for (let attempt = 1; ; attempt++) {
      const failed = this.#library.run(context, script) !== 0
      const output = this.#library.output(context)
      const error = this.#library.error(context)
      if (!failed) return output
      // A signal came (a child ended, say): the kernel has dropped the transaction, and it can be sent again.
      if (attempt === RETRIES || !error.includes('Interrupted system call')) throw new NftError(script, error)
    }
  }

  close(): void {
    if (!this.#context) return
    this.#library.free(this.#context)
    reclaimLowFile()
    this.#context = undefined
  }
}
