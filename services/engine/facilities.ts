import type { Facilities } from './config/defaults.ts'
import type { Lower } from './lower.ts'

/** What exec and cgroup can do here, asked once; `forget` when one of them was restarted. */
export class FacilitySource {
  readonly #lower: Pick<Lower, 'exec' | 'cgroup'>
  readonly #logOptions: Readonly<Record<string, string>>
  #known: Promise<Facilities> | undefined

  constructor(lower: Pick<Lower, 'exec' | 'cgroup'>, logOptions: Readonly<Record<string, string>>) {
    this.#lower = lower
    this.#logOptions = logOptions
  }

  get(): Promise<Facilities> {
    this.#known ??= this.#ask().catch((error: unknown) => {
      this.forget()
      throw error
    })
    return this.#known
  }

  forget(): void {
    this.#known = undefined
  }

  async #ask(): Promise<Facilities> {
    const [exec, cgroup] = await Promise.all([this.#lower.exec.info({}), this.#lower.cgroup.info({})])
    return {
      runtime: exec.defaultRuntime,
      logDriver: exec.defaultLogDriver,
      logOptions: this.#logOptions,
      cgroupV2: cgroup.version === '2',
    }
  }
}
