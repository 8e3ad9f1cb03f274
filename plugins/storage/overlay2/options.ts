/** Planner: from the layers to mount's option string. No system calls here. */

/** The option string has one page with its terminating NUL (mount(2)). */
export const MAX_OPTIONS = 4095

/** What overlayfs would do by default on some kernels and must not: layers have to be the same everywhere. */
const FIXED = 'index=off,redirect_dir=off,metacopy=off'

export interface OverlayPlan {
  /** Link names of the lower layers, the topmost first. */
  readonly lower: readonly string[]
  /** Directory of the short names. */
  readonly links: string
  /** The layer's own directory. */
  readonly layer: string
}

/** `,` and `:` separate in overlayfs options; a backslash takes their meaning away. */
const escape = (path: string): string => path.replace(/[\\:,]/g, '\\$&')

export function overlayOptions({ lower, links, layer }: OverlayPlan): string {
  const [from, own] = [escape(links), escape(layer)]
  const lowerdir = lower.map((link) => `${from}/${link}`).join(':')
  return `lowerdir=${lowerdir},upperdir=${own}/diff,workdir=${own}/work,${FIXED}`
}

/** Whether they fit; if not, the mount is made with `/proc/self/fd/<n>` for both directories, which is always short. */
export const fits = (options: string): boolean => Buffer.byteLength(options) <= MAX_OPTIONS
