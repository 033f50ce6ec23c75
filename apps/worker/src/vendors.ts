import { VENDOR_BASE_URLS, createVendors, guardedFetch, type GuardedNetwork, type RemoteVendorId, type Vendor } from '@trunkline/agents'
import type { Clock } from '@trunkline/core'
import { vendorKeys, type Cache, type Db, type Keyring } from '@trunkline/db'

/** Who answers for a tenant: its own key first (BYOK), else the operator's; null when there is neither. */
export type VendorDirectory = { find(vendor: RemoteVendorId, tenantId: string): Promise<Vendor | null> }

/** The operator's own accounts. A base URL without a key is a server that asks for none. */
export type HouseVendors = Partial<Record<RemoteVendorId, { apiKey: string | null; baseUrl: string | null }>>

type Deps = { db: Db; cache: Cache; keyring: Keyring; clock: Clock; house: HouseVendors; network: GuardedNetwork }
type TenantKey = { sealed: string; baseUrl: string | null } | { sealed: null }

const KEY_TTL_MS = 300_000
const LOCAL_TTL_MS = 2_000

export function createVendorDirectory(deps: Deps): VendorDirectory {
  const vendors = createVendors(deps.clock)
  const guarded = guardedFetch(deps.network)
  const local = new Map<string, { until: number; key: Promise<TenantKey> }>()

  /** Two seconds in the process, five minutes in Redis (sealed), then Postgres. */
  function tenantKey(vendor: RemoteVendorId, tenantId: string): Promise<TenantKey> {
    const name = `${tenantId} ${vendor}`
    const copy = local.get(name)
    const nowMs = deps.clock.nowMs()
    if (copy && copy.until > nowMs) return copy.key
    if (local.size > 20_000) local.clear()
    const key = deps.cache.read<TenantKey>(tenantId, `vendor-key:${vendor}`, () => load(vendor, tenantId), { ttlMs: KEY_TTL_MS })
    local.set(name, { until: nowMs + LOCAL_TTL_MS, key })
    key.catch(() => local.delete(name))
    return key
  }

  async function load(vendor: RemoteVendorId, tenantId: string): Promise<TenantKey> {
    const row = await deps.db.tenant(tenantId, (tx) => vendorKeys.findSealed(tx, vendor))
    return row ? { sealed: row.keySealed.toString('base64'), baseUrl: row.baseUrl } : { sealed: null }
  }

  return {
    async find(vendor, tenantId) {
      const own = await tenantKey(vendor, tenantId)
      if (own.sealed !== null) {
        const apiKey = deps.keyring.open(Buffer.from(own.sealed, 'base64'), tenantId).toString('utf8')
        // An address that a tenant typed in is called through the guarded network only.
        return vendors.open(vendor, own.baseUrl ? { baseUrl: own.baseUrl, apiKey, fetch: guarded } : { baseUrl: VENDOR_BASE_URLS[vendor], apiKey })
      }
      const house = deps.house[vendor]
      if (!house) return null
      return vendors.open(vendor, { baseUrl: house.baseUrl ?? VENDOR_BASE_URLS[vendor], apiKey: house.apiKey })
    },
  }
}
