import { VendorId } from '@trunkline/core'
import { deleteToolSecret, deleteVendorKey, listToolSecrets, listVendorKeys, putToolSecret, putVendorKey } from '@trunkline/db'
import { z } from 'zod'
import { audit } from '../audit.ts'
import type { ApiApp, ApiDeps } from '../deps.ts'
import { found } from '../found.ts'
import { Done, Time, toWire } from '../wire.ts'

const KEY_EXAMPLE = { vendor: 'openai' as const, base_url: null, last_four: 'a1B2', created_at: '2026-11-20T09:30:00.000Z' }
const SECRET_EXAMPLE = { name: 'CRM_TOKEN', created_at: '2026-11-20T09:30:00.000Z' }

/** `rules` is ours and needs no key. */
const OwnVendor = VendorId.exclude(['rules'])
const VendorKey = z.object({ vendor: OwnVendor, base_url: z.string().nullable(), last_four: z.string(), created_at: Time }).meta({ id: 'VendorKey', examples: [KEY_EXAMPLE] })
const VendorKeys = z.object({ data: z.array(VendorKey) }).meta({ id: 'VendorKeys', examples: [{ data: [KEY_EXAMPLE] }] })
const VendorKeyPut = z
  .strictObject({ key: z.string().min(8).max(512).regex(/^[\x21-\x7e]+$/, 'Visible ASCII characters only.'), base_url: z.url({ protocol: /^https?$/ }).max(2048).nullable().default(null).meta({ description: 'For `compatible` servers' }) })
  .meta({ id: 'VendorKeyPut', examples: [{ key: 'sk-proj-...' }] })
const VendorParams = z.object({ vendor: OwnVendor })

const ToolSecret = z.object({ name: z.string(), created_at: Time }).meta({ id: 'ToolSecret', examples: [SECRET_EXAMPLE] })
const ToolSecrets = z.object({ data: z.array(ToolSecret) }).meta({ id: 'ToolSecrets', examples: [{ data: [SECRET_EXAMPLE] }] })
const ToolSecretPut = z.strictObject({ value: z.string().min(1).max(4096) }).meta({ id: 'ToolSecretPut', examples: [{ value: 'Bearer ...' }] })
const ToolSecretParams = z.object({ name: z.string().regex(/^[A-Za-z_]\w{0,63}$/, 'Letters, digits and _, 64 at most.') })

/** Secrets that a tenant lends us: written, replaced, deleted, and never answered again. */
export function registerVendorKeys(app: ApiApp, deps: ApiDeps): void {
  const tags = ['vendor keys']
  app.get('/v1/admin/vendor-keys', { config: { access: { scope: 'vendor_keys:read' } }, schema: { tags, summary: 'List your own keys at AI vendors', response: { 200: VendorKeys } } }, async ({ auth }) => {
    const rows = await deps.db.tenant(auth.tenantId, (tx) => listVendorKeys(tx))
    return { data: rows.flatMap((row) => (row.vendor === 'rules' ? [] : [toWire({ ...row, vendor: row.vendor })])) }
  })

  app.put('/v1/admin/vendor-keys/:vendor', { config: { access: { scope: 'vendor_keys:write' } }, schema: { tags, summary: 'Set your own key at a vendor', params: VendorParams, body: VendorKeyPut, response: { 200: VendorKey } } }, async (request) => {
    const { auth, params, body } = request
    const row = await deps.db.tenant(auth.tenantId, async (tx) => {
      const stored = await putVendorKey(tx, deps.keyring, { tenantId: auth.tenantId, vendor: params.vendor, secret: body.key, baseUrl: body.base_url })
      await audit(tx, request, { action: 'vendor_key.set', target: { kind: 'vendor_key', id: params.vendor }, changes: { base_url: body.base_url } })
      return stored
    })
    await deps.cache.invalidate(auth.tenantId, 'vendor-keys')
    return toWire({ ...row, vendor: params.vendor })
  })

  app.delete('/v1/admin/vendor-keys/:vendor', { config: { access: { scope: 'vendor_keys:write' } }, schema: { tags, summary: 'Delete your own key at a vendor', params: VendorParams, response: { 200: Done } } }, async (request) => {
    const { auth, params } = request
    await deps.db.tenant(auth.tenantId, async (tx) => {
      found((await deleteVendorKey(tx, params.vendor)) || null, 'params.vendor')
      await audit(tx, request, { action: 'vendor_key.deleted', target: { kind: 'vendor_key', id: params.vendor } })
    })
    await deps.cache.invalidate(auth.tenantId, 'vendor-keys')
    return { ok: true as const }
  })
}

export function registerToolSecrets(app: ApiApp, deps: ApiDeps): void {
  const tags = ['tool secrets']
  app.get('/v1/admin/tool-secrets', { config: { access: { scope: 'tool_secrets:read' } }, schema: { tags, summary: 'List the names of tool secrets', response: { 200: ToolSecrets } } }, async ({ auth }) => {
    const rows = await deps.db.tenant(auth.tenantId, (tx) => listToolSecrets(tx))
    return { data: rows.map((row) => toWire(row)) }
  })

  app.put('/v1/admin/tool-secrets/:name', { config: { access: { scope: 'tool_secrets:write' } }, schema: { tags, summary: 'Set a secret that tool headers use as {{secret.NAME}}', params: ToolSecretParams, body: ToolSecretPut, response: { 200: ToolSecret } } }, async (request) => {
    const { auth, params, body } = request
    const row = await deps.db.tenant(auth.tenantId, async (tx) => {
      const stored = await putToolSecret(tx, deps.keyring, { tenantId: auth.tenantId, name: params.name, value: body.value })
      await audit(tx, request, { action: 'tool_secret.set', target: { kind: 'tool_secret', id: params.name } })
      return stored
    })
    await deps.cache.invalidate(auth.tenantId, 'tool-secrets')
    return toWire(row)
  })

  app.delete('/v1/admin/tool-secrets/:name', { config: { access: { scope: 'tool_secrets:write' } }, schema: { tags, summary: 'Delete a tool secret', params: ToolSecretParams, response: { 200: Done } } }, async (request) => {
    const { auth, params } = request
    await deps.db.tenant(auth.tenantId, async (tx) => {
      found((await deleteToolSecret(tx, params.name)) || null, 'params.name')
      await audit(tx, request, { action: 'tool_secret.deleted', target: { kind: 'tool_secret', id: params.name } })
    })
    await deps.cache.invalidate(auth.tenantId, 'tool-secrets')
    return { ok: true as const }
  })
}
