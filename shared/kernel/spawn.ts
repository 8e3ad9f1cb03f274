import { errno, libc, SystemError } from './libc.ts'

/**
 * Starts programs that outlive this process. Node's own spawn forks the whole address space, which takes 3 to 5 ms in a process
 * of 150 MB; posix_spawn(3) shares it until exec (CLONE_VFORK) and takes a fraction of one.
 */

// Sizes of the opaque structures in glibc (64-bit) are 80, 336 and 128 bytes; musl's are smaller.
const ACTIONS_SIZE = 128
const ATTRIBUTES_SIZE = 512
const SIGSET_SIZE = 128

const POSIX_SPAWN_SETSIGDEF = 0x04
const POSIX_SPAWN_SETSIGMASK = 0x08
const POSIX_SPAWN_SETSID = 0x80

const WNOHANG = 1

type Call = (...args: unknown[]) => number
const fn = (prototype: string): Call => {
  const name = /(\w+)\s*\(/.exec(prototype)?.[1] ?? prototype
  const call = libc.func(prototype) as Call
  // These functions return the error number instead of setting errno.
  return (...args) => {
    const failure = call(...args)
    if (failure !== 0) throw new SystemError(name, failure)
    return 0
  }
}
const spawnProto =
  'int posix_spawn(_Out_ int *pid, const char *path, const void *actions, const void *attributes, const char **argv, const char **env)'
const posixSpawn = fn(spawnProto)
const actionsInit = fn('int posix_spawn_file_actions_init(void *actions)')
const actionsDup2 = fn('int posix_spawn_file_actions_adddup2(void *actions, int fd, int target)')
const actionsOpen = fn(
  'int posix_spawn_file_actions_addopen(void *actions, int fd, const char *path, int flags, unsigned int mode)',
)
// Both since glibc 2.34 at the latest.
const actionsChdir = fn('int posix_spawn_file_actions_addchdir_np(void *actions, const char *path)')
const actionsCloseFrom = fn('int posix_spawn_file_actions_addclosefrom_np(void *actions, int from)')
const actionsDestroy = fn('int posix_spawn_file_actions_destroy(void *actions)')
const attributesInit = fn('int posix_spawnattr_init(void *attributes)')
const attributesFlags = fn('int posix_spawnattr_setflags(void *attributes, int16_t flags)')
const attributesDefault = fn('int posix_spawnattr_setsigdefault(void *attributes, const void *set)')
const attributesMask = fn('int posix_spawnattr_setsigmask(void *attributes, const void *set)')
const pipe2 = libc.func('int pipe2(_Out_ int *fds, int flags)') as (fds: number[], flags: number) => number
const waitpid = libc.func('int waitpid(int pid, _Out_ int *status, int options)') as Call

/** A new session, no blocked signal, every signal at its default: nothing of Node's habits is inherited. */
const attributes = (() => {
  const buffer = Buffer.alloc(ATTRIBUTES_SIZE)
  attributesInit(buffer)
  attributesFlags(buffer, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK)
  attributesDefault(buffer, Buffer.alloc(SIGSET_SIZE, 0xff))
  attributesMask(buffer, Buffer.alloc(SIGSET_SIZE))
  return buffer
})()

export interface SpawnOptions {
  /** Absolute path of the program. */
  readonly path: string
  readonly args: readonly string[]
  readonly env: readonly string[]
  readonly cwd: string
  /** Descriptors that the child sees as 3, 4, ...; 0, 1 and 2 are /dev/null, and it gets no others. */
  readonly fds: readonly number[]
}

const FIRST_FD = 3

/**
 * Starts a program in a session of its own with /dev/null as stdio, and returns its pid. The caller must `reap` it when it
 * has ended. Throws SystemError (ENOENT when the program is missing).
 */
export function spawnDetached(options: SpawnOptions): number {
  const actions = Buffer.alloc(ACTIONS_SIZE)
  actionsInit(actions)
  try {
    actionsOpen(actions, 0, '/dev/null', 0, 0)
    actionsOpen(actions, 1, '/dev/null', 1, 0)
    actionsDup2(actions, 1, 2)
    // One after the other: a descriptor that is itself one of the targets would be gone before its turn. Node's own are above.
    if (options.fds.some((fd) => fd < FIRST_FD + options.fds.length))
      throw new Error('descriptors to hand over are too low')
    options.fds.forEach((fd, i) => actionsDup2(actions, fd, FIRST_FD + i))
    actionsCloseFrom(actions, FIRST_FD + options.fds.length)
    actionsChdir(actions, options.cwd)
    const pid = [0]
    posixSpawn(pid, options.path, actions, attributes, [options.path, ...options.args, null], [...options.env, null])
    return pid[0] ?? 0
  } finally {
    actionsDestroy(actions)
  }
}

/** Collects a child that has ended; false when it has not yet. A child that is not ours any more counts as collected. */
export const reap = (pid: number): boolean => waitpid(pid, [0], WNOHANG) !== 0

/** pipe2(2), close-on-exec: [read end, write end]. */
export function makePipe(): [number, number] {
  const fds = [-1, -1]
  if (pipe2(fds, 0o2000000) === -1) throw new SystemError('pipe2', errno())
  return fds as [number, number]
}
