import type { Id } from '@trunkline/core'

/** Lanes that wait for a free hand. Tenants take turns, and so do the lanes of each: who has many numbers is served no more often than who has one. */
export class WaitingLanes<Lane extends { readonly tenantId: Id }> {
  /** In the order in which they are served. */
  readonly #lines = new Map<Id, Set<Lane>>()

  add(lane: Lane): void {
    const line = this.#lines.get(lane.tenantId)
    if (line) line.add(lane)
    else this.#lines.set(lane.tenantId, new Set([lane]))
  }

  delete(lane: Lane): void {
    const line = this.#lines.get(lane.tenantId)
    if (line?.delete(lane) && line.size === 0) this.#lines.delete(lane.tenantId)
  }

  /** The next one, taken out; its tenant is served again after all others. */
  take(): Lane | undefined {
    for (const [tenantId, line] of this.#lines) {
      this.#lines.delete(tenantId)
      for (const lane of line) {
        line.delete(lane)
        if (line.size > 0) this.#lines.set(tenantId, line)
        return lane
      }
    }
    return undefined
  }
}
