import { libc } from './libc.ts'

const X32_SYSCALL_BIT = 0x40000000
/** getpid on x86-64. */
const GETPID = 39

/** Whether this kernel runs programs of the x32 ABI (CONFIG_X86_X32_ABI, off or disabled on nearly all): a call through it is tried. */
export function supportsX32(): boolean {
  if (process.arch !== 'x64') return false
  const syscall = libc.func('long syscall(long number)') as (number: number) => number
  return syscall(X32_SYSCALL_BIT | GETPID) === process.pid
}
