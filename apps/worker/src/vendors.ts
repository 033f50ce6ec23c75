import { VENDOR_BASE_URLS, createVendors, guardedFetch, type GuardedNetwork, type RemoteVendorId, type Vendor } from '@trunkline/agents'
import type { Clock } from '@trunkline/core'
import { openVendorKey, type Db, type Keyring } from '@trunkline/db'

/** Who answers for a tenant: its own key first (BYOK), else the operator's; null when there is neither. */
export type VendorDirectory = { find(vendor: RemoteVendorId, tenantId: string): Promise<Vendor | null> }

/** The operator's own accounts. A base URL without a key is a server that asks for none. */
export type HouseVendors = Partial<Record<RemoteVendorId, { apiKey: string | null; baseUrl: string | null }>>

type Deps = { db: Db; keyring: Keyring; clock: Clock; house: HouseVendors; network: GuardedNetwork }
type TenantKey = Awaited<ReturnType<typeof openVendorKey>>

/** A key that a tenant changes is used within this time. Opened keys stay in the process. */
const COPY_MS = 20_000
const COPIES_MAX = 20_000

export function createVendorDirectory(deps: Deps): VendorDirectory {
  const vendors = createVendors(deps.clock)
  const guarded = guardedFetch(deps.network)
  const copies = new Map<string, { until: number; key: Promise<TenantKey> }>()

  function tenantKey(vendor: RemoteVendorId, tenantId: string): Promise<TenantKey> {
    const name = `${tenantId} ${vendor}`
    const copy = copies.get(name)
    const nowMs = deps.clock.nowMs()
    if (copy && copy.until > nowMs) return copy.key
    const key = deps.db.tenant(tenantId, (tx) => openVendorKey(tx, deps.keyring, tenantId, vendor))
    if (copies.size >= COPIES_MAX) copies.clear()
    copies.set(name, { until: nowMs + COPY_MS, key })
    key.catch(() => copies.delete(name))
    return key
  }

  return {
    async find(vendor, tenantId) {
      const own = await tenantKey(vendor, tenantId)
      if (own) {
        const { secret: apiKey } = own
        // An address that a tenant typed in is called through the guarded network only.
        return vendors.open(vendor, own.baseUrl ? { baseUrl: own.baseUrl, apiKey, fetch: guarded } : { baseUrl: VENDOR_BASE_URLS[vendor], apiKey })
      }
      const house = deps.house[vendor]
      if (!house) return null
      return vendors.open(vendor, { baseUrl: house.baseUrl ?? VENDOR_BASE_URLS[vendor], apiKey: house.apiKey })
    },
  }
}
