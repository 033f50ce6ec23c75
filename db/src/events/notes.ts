import type { Id } from '@trunkline/core'
import type { NewEvent } from './contract.ts'

/** An event that is true once the transaction has committed. */
export type Note = { tenantId: Id; event: NewEvent }

const notes = new WeakMap<object, Note[]>()

/** Says inside a transaction what it makes true. It is told after the commit (`DbOptions.onCommitted`), and never if there is none. */
export function happened(tx: object, tenantId: Id, event: NewEvent): void {
  const known = notes.get(tx)
  if (known) known.push({ tenantId, event })
  else notes.set(tx, [{ tenantId, event }])
}

/** What the transaction has said. */
export const notesOf = (tx: object): readonly Note[] => notes.get(tx) ?? []
