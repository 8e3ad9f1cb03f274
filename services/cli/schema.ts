import * as contracts from '../../shared/contracts/index.ts'
import type { Contract } from '../../shared/contracts/index.ts'
import { CliError } from './fail.ts'

const ALL: readonly Contract[] = [
  contracts.gatewayContract,
  contracts.engineContract,
  contracts.networkContract,
  contracts.storageContract,
  contracts.cgroupContract,
  contracts.execContract,
]

/** `gantry schema`: the contracts' TypeBox schemas, which are JSON Schema. */
export async function schema(name?: string): Promise<void> {
  const chosen = ALL.filter((contract) => name === undefined || contract.service === name)
  if (chosen.length === 0) {
    throw new CliError(`no service "${name}": there are ${ALL.map((contract) => contract.service).join(', ')}`)
  }
  process.stdout.write(JSON.stringify(chosen, null, 2) + '\n')
}
