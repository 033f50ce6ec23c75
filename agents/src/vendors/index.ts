import type { Clock, VendorId } from '@trunkline/core'
import { ANTHROPIC_BASE_URL, anthropicVendors } from './anthropic/index.ts'
import { OLLAMA_BASE_URL, compatibleVendors } from './compatible/index.ts'
import type { Connection } from './connection.ts'
import type { Vendor } from './contract.ts'
import { GROQ_BASE_URL, groqVendors } from './groq/index.ts'
import { OPENAI_BASE_URL, openaiVendors } from './openai/index.ts'

/** Vendors that are reached over the network; `rules` is ourselves. */
export type RemoteVendorId = Exclude<VendorId, 'rules'>

export const VENDOR_BASE_URLS: Record<RemoteVendorId, string> = {
  openai: OPENAI_BASE_URL,
  anthropic: ANTHROPIC_BASE_URL,
  groq: GROQ_BASE_URL,
  compatible: OLLAMA_BASE_URL,
}

export type Vendors = { open(id: RemoteVendorId, connection: Connection): Vendor }

/** One per process: it holds the SDK clients (at most `clientsMax` per vendor) and with them the warm connections. Adding a vendor is a folder and a line here. */
export function createVendors(clock: Clock, clientsMax = 500): Vendors {
  const open: Record<RemoteVendorId, (connection: Connection) => Vendor> = {
    openai: openaiVendors(clock, clientsMax),
    anthropic: anthropicVendors(clock, clientsMax),
    groq: groqVendors(clock, clientsMax),
    compatible: compatibleVendors(clock, clientsMax),
  }
  return { open: (id, connection) => open[id](connection) }
}
