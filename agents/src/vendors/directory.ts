import type { Clock } from '@trunkline/core'
import type { GuardedNetwork } from '../net/connect.ts'
import { guardedFetch } from '../net/connect.ts'
import type { Vendor } from './contract.ts'
import { VENDOR_BASE_URLS, createVendors, type RemoteVendorId } from './index.ts'

/** Who answers for a tenant: its own key first (BYOK), else the operator's; null when there is neither. */
export type VendorDirectory = { find(vendor: RemoteVendorId, tenantId: string): Promise<Vendor | null> }

/** The operator's own accounts. A base URL without a key is a server that asks for none. */
export type HouseVendors = Partial<Record<RemoteVendorId, { apiKey: string | null; baseUrl: string | null }>>

/** A tenant's own key, opened; null: it has none. */
export type TenantKeys = (vendor: RemoteVendorId, tenantId: string) => Promise<{ secret: string; baseUrl: string | null } | null>

export type DirectoryDeps = { keys: TenantKeys; clock: Clock; house: HouseVendors; network: GuardedNetwork }

/** A key that a tenant changes is used within this time. Opened keys stay in the process. */
const COPY_MS = 20_000
const COPIES_MAX = 20_000

export function createVendorDirectory(deps: DirectoryDeps): VendorDirectory {
  const vendors = createVendors(deps.clock)
  const guarded = guardedFetch(deps.network)
  const copies = new Map<string, { until: number; key: ReturnType<TenantKeys> }>()

  function tenantKey(vendor: RemoteVendorId, tenantId: string): ReturnType<TenantKeys> {
    const name = `${tenantId} ${vendor}`
    const copy = copies.get(name)
    const nowMs = deps.clock.nowMs()
    if (copy && copy.until > nowMs) return copy.key
    const key = deps.keys(vendor, tenantId)
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
        return paidByTenant(vendors.open(vendor, own.baseUrl ? { baseUrl: own.baseUrl, apiKey, fetch: guarded } : { baseUrl: VENDOR_BASE_URLS[vendor], apiKey }))
      }
      const house = deps.house[vendor]
      if (!house) return null
      return vendors.open(vendor, { baseUrl: house.baseUrl ?? VENDOR_BASE_URLS[vendor], apiKey: house.apiKey })
    },
  }
}

/** What it uses is on the tenant's own bill: it is written down as that, and costs nothing here. */
const paidByTenant = (vendor: Vendor): Vendor => ({
  ...vendor,
  async *stream(request, signal) {
    for await (const event of vendor.stream(request, signal)) yield event.type === 'done' ? { ...event, usage: event.usage.map((usage) => ({ ...usage, ownKey: true })) } : event
  },
})

type VendorSettings = Partial<Record<`${'OPENAI' | 'ANTHROPIC' | 'GROQ' | 'COMPATIBLE'}_${'API_KEY' | 'BASE_URL'}`, string>>

/** The operator's accounts as a process's environment names them. */
export function houseVendors(settings: VendorSettings): HouseVendors {
  const house = (apiKey: string | undefined, baseUrl: string | undefined) => (apiKey === undefined && baseUrl === undefined ? undefined : { apiKey: apiKey ?? null, baseUrl: baseUrl ?? null })
  const all = {
    openai: house(settings.OPENAI_API_KEY, settings.OPENAI_BASE_URL),
    anthropic: house(settings.ANTHROPIC_API_KEY, settings.ANTHROPIC_BASE_URL),
    groq: house(settings.GROQ_API_KEY, settings.GROQ_BASE_URL),
    compatible: house(settings.COMPATIBLE_API_KEY, settings.COMPATIBLE_BASE_URL),
  }
  return Object.fromEntries(Object.entries(all).filter(([, vendor]) => vendor !== undefined))
}
