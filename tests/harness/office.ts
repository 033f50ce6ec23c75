import { randomBytes } from 'node:crypto'
import { newId, type ChannelId, type InboundContent } from '@trunkline/core'
import { carriers, channels } from '@trunkline/channels'
import { sealJson, type Db, type Keyring, type NumberRouting, type ProjectEnvironment, type Redis, type Scope, type Tx } from '@trunkline/db'
import type { ApiDeps } from '../../apps/api/src/deps.ts'
import { prepareKey, storeKey } from '../../apps/api/src/new-key.ts'
import { createWorld } from '../isolation/world.ts'

export type Tenant = {
  tenantId: string
  projectId: string
  /** A key of the project with every scope. */
  key: string
  /** Access token of its owner, a person: no project of their own. */
  owner: string
  project(environment?: ProjectEnvironment): Promise<string>
  keyWith(scopes: readonly Scope[], projectId?: string): Promise<string>
}

/** What JSON gives; a test that reads a wrong path fails on `undefined`. */
export type Json = ReturnType<typeof JSON.parse>
export type Call = { key?: string; body?: unknown; headers?: Record<string, string> }

/** The API of the isolation world with something in it: numbers, agents and conversations, as the routes of the business need them. */
export type Office = {
  db: Db
  redis: Redis
  keyring: Keyring
  routing: NumberRouting
  deps: ApiDeps
  /** Superuser's URL, for what only a test may do. */
  ownerUrl: string
  /** Numbers whose direct lane was woken, in order. */
  woken: string[]
  tenant(): Promise<Tenant>
  call(method: 'GET' | 'POST' | 'PATCH' | 'PUT' | 'DELETE', url: string, call?: Call): Promise<{ status: number; body: Json; headers: Record<string, unknown> }>
  /** A number and an agent on it, straight into the tables. */
  number(tenant: Tenant, channel?: ChannelId): Promise<{ id: string; agentId: string; promptId: string }>
  /** A conversation with one message of the customer in it. */
  conversation(
    tenant: Tenant,
    number: { id: string; agentId: string | null },
    options?: { lastInboundAt?: Date; text?: string },
  ): Promise<{ id: string; contactId: string; messageId: string }>
  close(): Promise<void>
}

/** `graphUrl`: real clients of channels and carriers against a sandbox; without it every credential is accepted. */
export async function openOffice(options: { graphUrl?: string; clock?: ApiDeps['clock'] } = {}): Promise<Office> {
  const world = await createWorld({ ...(options.clock ? { clock: options.clock } : {}), ...(options.graphUrl ? { clients: clientsAt(options.graphUrl), carrierClients: carriersAt(options.graphUrl) } : {}) })
  const { db, deps, redis } = world
  const woken: string[] = []
  deps.ports.wakeDirectSends = async (numberId) => void woken.push(numberId)
  return {
    db,
    redis,
    deps,
    woken,
    keyring: deps.keyring,
    routing: deps.ports.routing,
    ownerUrl: world.database.url,
    tenant: async () => tenantOf(deps, await world.newTenant('Bakery Rosa')),
    async call(method, url, { key, body, headers = {} } = {}) {
      const { status, text, headers: answered } = await world.call(method, url, { body, headers, ...(key === undefined ? {} : { as: key }) })
      const json = String(answered['content-type']).startsWith('application/json')
      return { status, body: json ? JSON.parse(text) : text, headers: answered }
    },
    number: (tenant, channel = 'whatsapp') => db.tenant(tenant.tenantId, (tx) => makeNumber(tx, deps.keyring, tenant, channel)),
    conversation: (tenant, number, wish = {}) => db.tenant(tenant.tenantId, (tx) => makeConversation(tx, deps.keyring, tenant, number, wish)),
    close: () => world.close(),
  }
}

function clientsAt(baseUrl: string): ApiDeps['clients'] {
  const settings = { baseUrl, timeoutMs: 5_000 }
  return { whatsapp: channels.whatsapp.client(settings), instagram: channels.instagram.client(settings), webchat: channels.webchat.client(settings) }
}

function carriersAt(baseUrl: string): ApiDeps['carrierClients'] {
  const at = (id: 'twilio' | 'telnyx') => carriers[id].client({ baseUrl: `${baseUrl}/${id}`, timeoutMs: 5_000 })
  return { twilio: at('twilio'), telnyx: at('telnyx') }
}

function tenantOf(deps: ApiDeps, made: { id: string; projectId: string; key: string; as: { owner: string } }): Tenant {
  const { id: tenantId, projectId } = made
  return {
    tenantId,
    projectId,
    key: made.key,
    owner: made.as.owner,
    async project(environment = 'production') {
      const id = newId()
      await deps.db.tenant(tenantId, (tx) =>
        tx.query('INSERT INTO projects (id, tenant_id, name, environment) VALUES ($1, $2, $3, $4)', [id, tenantId, `project ${id}`, environment]),
      )
      return id
    },
    async keyWith(scopes, inProject = projectId) {
      const prepared = await prepareKey({ keyring: deps.keyring, passwords: deps.access.passwords }, 'production')
      const order = { tenantId, projectId: inProject, name: 'test', scopes: [...scopes], expiresAt: null, createdBy: null }
      return (await deps.db.tenant(tenantId, (tx) => storeKey(tx, prepared, order))).key
    },
  }
}

type Place = Pick<Tenant, 'tenantId' | 'projectId'>

async function makeNumber(tx: Tx, keyring: Keyring, tenant: Place, channel: ChannelId) {
  const [id, promptId, agentId] = [newId(), newId(), newId()]
  const place = [tenant.tenantId, tenant.projectId]
  const credentials = sealJson(
    keyring,
    { access_token: 'sandbox-access-token', app_secret: 'sandbox-app-secret', verify_token: 'sandbox-verify-token' },
    tenant.tenantId,
  )
  const address = channel === 'webchat' ? id : String(10n ** 14n + BigInt(`0x${randomBytes(5).toString('hex')}`))
  await tx.query('INSERT INTO phone_numbers (id, tenant_id, project_id, channel, address, name, credentials_sealed) VALUES ($1, $2, $3, $4, $5, $6, $7)', [
    id,
    ...place,
    channel,
    address,
    'Front desk',
    credentials,
  ])
  await tx.query('INSERT INTO lanes (number_id, tenant_id) VALUES ($1, $2)', [id, tenant.tenantId])
  await tx.query("INSERT INTO prompts (id, tenant_id, project_id, name) VALUES ($1, $2, $3, 'Receptionist')", [promptId, ...place])
  await tx.query('INSERT INTO prompt_versions (id, tenant_id, prompt_id, version, content) VALUES ($1, $2, $3, 1, $4)', [
    newId(),
    tenant.tenantId,
    promptId,
    JSON.stringify({ instructions: 'Be kind.', model: 'gpt-6-mini' }),
  ])
  await tx.query("INSERT INTO agents (id, tenant_id, project_id, name, number_id, prompt_id) VALUES ($1, $2, $3, 'Rosa', $4, $5)", [
    agentId,
    ...place,
    id,
    promptId,
  ])
  return { id, agentId, promptId }
}

/** A conversation with one message of the customer in it, straight into the tables. */
export async function makeConversation(
  tx: Tx,
  keyring: Keyring,
  tenant: Place,
  number: { id: string; agentId: string | null },
  wish: { lastInboundAt?: Date; text?: string } = {},
) {
  const [id, contactId, messageId] = [newId(), newId(), newId()]
  const phone = `+4930${BigInt(`0x${randomBytes(4).toString('hex')}`)}`
  const content: InboundContent = { kind: 'text', text: wish.text ?? 'When do you open?' }
  await tx.query("INSERT INTO contacts (id, tenant_id, name) VALUES ($1, $2, 'Ada')", [contactId, tenant.tenantId])
  await tx.query("INSERT INTO contact_identities (id, tenant_id, contact_id, kind, value, source) VALUES ($1, $2, $3, 'phone', $4, 'message')", [
    newId(),
    tenant.tenantId,
    contactId,
    phone,
  ])
  await tx.query(
    'INSERT INTO conversations (id, tenant_id, project_id, number_id, agent_id, contact_id, reply_to, last_seq, last_inbound_at) VALUES ($1, $2, $3, $4, $5, $6, $7, 1, $8)',
    [
      id,
      tenant.tenantId,
      tenant.projectId,
      number.id,
      number.agentId,
      contactId,
      JSON.stringify({ kind: 'phone', value: phone }),
      wish.lastInboundAt ?? new Date(),
    ],
  )
  await tx.query(
    "INSERT INTO messages (id, tenant_id, conversation_id, number_id, agent_id, seq, direction, author, kind, content_sealed, provider_message_id, status) VALUES ($1, $2, $3, $4, $5, 1, 'inbound', 'customer', 'text', $6, $7, 'answered')",
    [messageId, tenant.tenantId, id, number.id, number.agentId, sealJson(keyring, content, tenant.tenantId), `wamid.${messageId}`],
  )
  return { id, contactId, messageId }
}
