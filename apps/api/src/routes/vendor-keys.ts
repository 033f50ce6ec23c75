import { AppError, AwsKey, KeyVendorId, type Id } from '@trunkline/core'
import { deleteToolSecret, deleteVendorKey, listToolSecrets, listVendorKeys, putToolSecret, putVendorKey, VENDOR_KEYS_BELL } from '@trunkline/db'
import { z } from 'zod'
import { audit } from '../audit.ts'
import type { ApiApp, ApiDeps } from '../deps.ts'
import { found } from '../found.ts'
import { Done, fromWire, Time, toWire } from '../wire.ts'

const KEY_EXAMPLE = { vendor: 'openai' as const, base_url: null, last_four: 'a1B2', created_at: '2026-11-20T09:30:00.000Z' }
const SECRET_EXAMPLE = { name: 'CRM_TOKEN', created_at: '2026-11-20T09:30:00.000Z' }

const Vendor = KeyVendorId.meta({ description: 'Of models: openai, anthropic, groq, compatible. Of speech: openai, deepgram, elevenlabs, google, polly.' })
const VendorKey = z.object({ vendor: Vendor, base_url: z.string().nullable(), last_four: z.string().meta({ description: 'Of the key; of the access key id at Amazon' }), created_at: Time }).meta({ id: 'VendorKey', examples: [KEY_EXAMPLE] })
const VendorKeys = z.object({ data: z.array(VendorKey) }).meta({ id: 'VendorKeys', examples: [{ data: [KEY_EXAMPLE] }] })
const AWS_EXAMPLE = { access_key_id: 'AKIAIOSFODNN7EXAMPLE', secret_access_key: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY', region: 'eu-central-1' }
const Aws = z.strictObject({
  access_key_id: AwsKey.shape.accessKeyId.meta({ examples: [AWS_EXAMPLE.access_key_id] }),
  secret_access_key: AwsKey.shape.secretAccessKey.meta({ examples: [AWS_EXAMPLE.secret_access_key] }),
  session_token: AwsKey.shape.sessionToken.meta({ description: 'Of temporary credentials: set them anew before they expire' }),
  region: AwsKey.shape.region.meta({ examples: [AWS_EXAMPLE.region] }),
})
const VendorKeyPut = z
  .strictObject({
    key: z.string().min(8).max(512).regex(/^[\x21-\x7e]+$/, 'Visible ASCII characters only.').optional().meta({ description: 'For every vendor but polly' }),
    aws: Aws.optional().meta({ description: 'For polly, instead of `key`' }),
    base_url: z.url({ protocol: /^https?$/ }).max(2048).transform((url) => url.replace(/\/+$/, '')).nullable().default(null).meta({ description: "For `compatible` servers, and where a vendor's own address is not the one: another region, a proxy. Private addresses are not called" }),
  })
  .meta({ id: 'VendorKeyPut', examples: [{ key: 'sk-proj-...' }, { aws: AWS_EXAMPLE }] })
const VendorParams = z.object({ vendor: Vendor })

/** What is kept sealed, and what its last characters are shown of. Throws AppError with the field that is missing, or belongs to another vendor. */
function secretOf(vendor: KeyVendorId, { key, aws }: z.infer<typeof VendorKeyPut>): { secret: string; shownAs?: string } {
  const [wanted, other] = vendor === 'polly' ? (['aws', key !== undefined && 'key'] as const) : (['key', aws !== undefined && 'aws'] as const)
  if (other) throw new AppError('invalid_request', { message: `The key of ${vendor} is given as \`${wanted}\`.`, param: `body.${other}` })
  if (vendor === 'polly' && aws) return { secret: JSON.stringify(fromWire(aws)), shownAs: aws.access_key_id }
  if (vendor !== 'polly' && key !== undefined) return { secret: key }
  throw new AppError('invalid_request', { message: `body.${wanted}: ${vendor} needs it.`, param: `body.${wanted}` })
}

const ToolSecret = z.object({ name: z.string(), created_at: Time }).meta({ id: 'ToolSecret', examples: [SECRET_EXAMPLE] })
const ToolSecrets = z.object({ data: z.array(ToolSecret) }).meta({ id: 'ToolSecrets', examples: [{ data: [SECRET_EXAMPLE] }] })
const ToolSecretPut = z.strictObject({ value: z.string().min(1).max(4096) }).meta({ id: 'ToolSecretPut', examples: [{ value: 'Bearer ...' }] })
const ToolSecretParams = z.object({ name: z.string().regex(/^[A-Za-z_]\w{0,63}$/, 'Letters, digits and _, 64 at most.') })

/** Secrets that a tenant lends us: written, replaced, deleted, and never answered again. */
export function registerVendorKeys(app: ApiApp, deps: ApiDeps): void {
  const tags = ['vendor keys']
  // Whoever talks with the old key in any process goes on with the new one, or without.
  const changed = async (tenantId: Id) => {
    await deps.cache.invalidate(tenantId, 'vendor-keys')
    deps.ports.bell.ring(VENDOR_KEYS_BELL, tenantId)
  }
  const description = "Used instead of the installation's for your own work, and billed to you by the vendor: what it does costs nothing here. Of the vendors of speech it is used in calls, Realtime sessions, simulations and one-shot requests, wherever that vendor is asked. Kept sealed, and never answered again."
  app.get('/v1/admin/vendor-keys', { config: { access: { scope: 'vendor_keys:read' } }, schema: { tags, summary: 'List your own keys at AI vendors', response: { 200: VendorKeys } } }, async ({ auth }) => {
    const rows = await deps.db.tenant(auth.tenantId, (tx) => listVendorKeys(tx))
    return { data: rows.map((row) => toWire(row)) }
  })

  app.put('/v1/admin/vendor-keys/:vendor', { config: { access: { scope: 'vendor_keys:write' } }, schema: { tags, summary: 'Set your own key at a vendor', description, params: VendorParams, body: VendorKeyPut, response: { 200: VendorKey } } }, async (request) => {
    const { auth, params, body } = request
    const secret = secretOf(params.vendor, body)
    const fault = body.base_url === null ? null : deps.ports.checkAddress(body.base_url)
    if (fault !== null) throw new AppError('invalid_request', { message: `This address will not be called: ${fault}.`, param: 'body.base_url' })
    const row = await deps.db.tenant(auth.tenantId, async (tx) => {
      const stored = await putVendorKey(tx, deps.keyring, { tenantId: auth.tenantId, vendor: params.vendor, ...secret, baseUrl: body.base_url })
      await audit(tx, request, { action: 'vendor_key.set', target: { kind: 'vendor_key', id: params.vendor }, changes: { base_url: body.base_url } })
      return stored
    })
    await changed(auth.tenantId)
    return toWire(row)
  })

  app.delete('/v1/admin/vendor-keys/:vendor', { config: { access: { scope: 'vendor_keys:write' } }, schema: { tags, summary: 'Delete your own key at a vendor', params: VendorParams, response: { 200: Done } } }, async (request) => {
    const { auth, params } = request
    await deps.db.tenant(auth.tenantId, async (tx) => {
      found((await deleteVendorKey(tx, params.vendor)) || null, 'params.vendor')
      await audit(tx, request, { action: 'vendor_key.deleted', target: { kind: 'vendor_key', id: params.vendor } })
    })
    await changed(auth.tenantId)
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
