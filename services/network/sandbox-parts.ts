import type { SandboxInfo } from '../../shared/contracts/index.ts'
import { notFound } from '../../shared/errors/index.ts'
import type { NetworkContext } from './context.ts'
import type { Endpoints } from './endpoints.ts'
import type { NameFiles } from './name-files.ts'
import type { Publishing } from './publishing.ts'
import type { SandboxRecord } from './records.ts'
import type { Resolver } from './resolver.ts'
import type { SandboxFiles } from './sandbox-files.ts'
import { sandboxInfo } from './sandbox-view.ts'

/** What work on a sandbox needs. */
export interface SandboxParts {
  readonly context: NetworkContext
  readonly endpoints: Endpoints
  readonly publishing: Publishing
  readonly files: SandboxFiles
  readonly nameFiles: NameFiles
  readonly resolver: Resolver
}

/** The file of the namespace that a sandbox uses; null for the host's. */
export const netnsOf = (p: SandboxParts, sandbox: SandboxRecord): string | null =>
  sandbox.mode === 'host' ? null : p.files.netns(sandbox.root)

/** A sandbox in use; `not-found` for any other. */
export function readySandbox(p: SandboxParts, id: string): SandboxRecord {
  const sandbox = p.context.records.sandbox(id)
  if (sandbox?.phase !== 'ready') throw notFound(`container ${id} has no network sandbox`)
  return sandbox
}

/** A sandbox in the form of the contract. */
export function describeSandbox(p: SandboxParts, sandbox: SandboxRecord): SandboxInfo {
  const { records } = p.context
  const root = sandbox.root === sandbox.id ? sandbox : records.sandbox(sandbox.root)
  if (!root) throw notFound(`container ${sandbox.id} has no network sandbox`)
  const endpoints = p.endpoints.of(sandbox.id)
  return sandboxInfo({ sandbox, root, files: p.files, ports: p.publishing.bindings(sandbox, endpoints), endpoints })
}
