import type { Store } from '../../../shared/store/index.ts'
import type { Container } from './container.ts'

/** Writes a container's event, in the caller's transaction; attributes are Docker's: labels, image, name, extras. */
export function emitContainer(
  store: Store,
  container: Container,
  action: string,
  extra: Readonly<Record<string, string>> = {},
  at?: Date,
): void {
  const attributes = { ...container.config.Labels, image: container.image, name: container.name, ...extra }
  store.emit({ type: 'container', action, id: container.id, attributes }, at)
}
