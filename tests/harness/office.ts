import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { newId, silentLogger, systemClock, type ChannelId, type InboundContent } from '@trunkline/core'
import { channels } from '@trunkline/channels'
import {
  connectDb, connectRedis, createAccess, createCache, createFolderStore, createKeyring, createLimiter, createNumberRouting, redisReady, sealJson, SCOPES,
  type Access, type Db, type Keyring, type NumberRouting, type ProjectEnvironment, type Redis, type Scope, type Tx,
} from '@trunkline/db'
import { Registry } from 'prom-client'
import { buildApp } from '../../apps/api/src/app.ts'
import type { ApiApp, ApiDeps } from '../../apps/api/src/deps.ts'
import { prepareKey, storeKey } from '../../apps/api/src/new-key.ts'
import { createAccessTokens } from '../../apps/api/src/tokens.ts'
import { freshDatabase, TEST_SECRET } from './database.ts'
import { freshRedis } from './redis.ts'

export type Tenant = {
  tenantId: string
  projectId: string
  /** A key of the project with every scope. */
  key: string
  project(environment?: ProjectEnvironment): Promise<string>
  keyWith(scopes: readonly Scope[], projectId?: string): Promise<string>
}

type Answer = { status: number; body: Json; headers: Record<string, unknown>; raw: Buffer }
/** What JSON gives; a test that reads a wrong path fails on `undefined`. */
export type Json = ReturnType<typeof JSON.parse>
export type Call = { key?: string; body?: unknown; headers?: Record<string, string> }

/** The whole API on a real Postgres and Redis, without a socket, and tenants to work in it. */
export type Office = {
  app: ApiApp
  db: Db
  redis: Redis
  keyring: Keyring
  access: Access
  routing: NumberRouting
  deps: ApiDeps
  /** Superuser's URL, for what only a test may do. */
  ownerUrl: string
  /** Numbers whose direct lane was woken, in order. */
  woken: string[]
  tenant(): Promise<Tenant>
  call(method: 'GET' | 'POST' | 'PATCH' | 'PUT' | 'DELETE', url: string, call?: Call): Promise<Answer>
  /** A number and an agent on it, straight into the tables. */
  number(tenant: Tenant, channel?: ChannelId): Promise<{ id: string; agentId: string; promptId: string }>
  /** A conversation with one message of the customer in it. */
  conversation(tenant: Tenant, number: { id: string; agentId: string | null }, options?: { lastInboundAt?: Date; text?: string }): Promise<{ id: string; contactId: string; messageId: string }>
  close(): Promise<void>
}

export async function openOffice(options: { graphUrl?: string; clock?: ApiDeps['clock'] } = {}): Promise<Office> {
  const database = await freshDatabase()
  const corner = freshRedis()
  const db = connectDb({ url: database.url, secret: TEST_SECRET })
  const [redis, subscriber] = [connectRedis({ url: corner.url, prefix: corner.prefix }), connectRedis({ url: corner.url, prefix: corner.prefix })]
  await Promise.all([redisReady(redis, 5_000), redisReady(subscriber, 5_000)])
  const files = await mkdtemp(join(tmpdir(), 'office-'))
  const keyring = createKeyring([TEST_SECRET])
  const clock = options.clock ?? systemClock
  const cache = createCache(redis)
  const access = createAccess({ db, redis, subscriber, keyring, clock, log: silentLogger })
  const routing = createNumberRouting({ db, redis, cache, keyring, clock })
  const woken: string[] = []
  const clientDeps = { baseUrl: options.graphUrl ?? 'http://127.0.0.1:9', timeoutMs: 5_000 }
  const deps: ApiDeps = {
    db, redis, keyring, cache, access, clock, channels,
    limiter: createLimiter({ redis }),
    tokens: createAccessTokens(keyring, clock),
    log: silentLogger,
    config: {
      publicUrl: 'https://api.example.com', appUrl: 'https://app.example.com', trustProxy: false, bodyLimitBytes: 1_048_576, requestTimeoutMs: 30_000,
      rateLimits: { global: 0, tenant: 0, project: 0, publicPerIp: 0 }, guessing: { perAccountAndIp: 1_000, perIp: 1_000, perAccount: 1_000, signUpsPerIp: 1_000 }, corsOrigins: [],
    },
    clients: { whatsapp: channels.whatsapp.client(clientDeps), instagram: channels.instagram.client(clientDeps), webchat: channels.webchat.client(clientDeps) },
    mailer: { send() {}, async close() {} },
    provision: async () => {},
    metrics: new Registry(),
    ports: {
      mediaStore: createFolderStore(files),
      routing,
      wakeDirectSends: async (numberId: string) => void woken.push(numberId),
      wakeMedia: async () => {},
      checkPrompt: (content) => (content.instructions.includes('{{nobody}}') ? [{ param: 'instructions', message: 'The variable {{nobody}} is not defined.' }] : []),
    },
  }
  const app = await buildApp(deps)
  const office: Office = {
    app, db, redis, keyring, access, routing, deps, woken,
    ownerUrl: database.url,
    tenant: () => makeTenant(deps),
    async call(method, url, { key, body, headers = {} } = {}) {
      const payload = body === undefined || Buffer.isBuffer(body) ? (body as Buffer | undefined) : JSON.stringify(body)
      const type = body === undefined || 'content-type' in headers ? {} : { 'content-type': 'application/json' }
      const answer = await app.inject({ method, url, headers: { ...(key ? { authorization: `Bearer ${key}` } : {}), ...type, ...headers }, ...(payload === undefined ? {} : { payload }) })
      const json = String(answer.headers['content-type']).includes('json')
      return { status: answer.statusCode, body: json ? JSON.parse(answer.body) : answer.body, headers: answer.headers, raw: answer.rawPayload }
    },
    number: (tenant, channel = 'whatsapp') => db.tenant(tenant.tenantId, (tx) => makeNumber(tx, keyring, tenant, channel)),
    conversation: (tenant, number, wish = {}) => db.tenant(tenant.tenantId, (tx) => makeConversation(tx, keyring, tenant, number, wish)),
    async close() {
      await app.close()
      await access.close()
      redis.disconnect()
      subscriber.disconnect()
      await db.close()
      await database.drop()
      await rm(files, { recursive: true, force: true })
    },
  }
  return office
}

async function makeTenant(deps: ApiDeps): Promise<Tenant> {
  const tenantId = newId()
  await deps.db.system('test', (tx) => tx.query("INSERT INTO tenants (id, name) VALUES ($1, 'Bakery Rosa')", [tenantId]))
  const project = async (environment: ProjectEnvironment = 'production') => {
    const id = newId()
    await deps.db.tenant(tenantId, (tx) => tx.query('INSERT INTO projects (id, tenant_id, name, environment) VALUES ($1, $2, $3, $4)', [id, tenantId, `project ${id}`, environment]))
    return id
  }
  const projectId = await project()
  const keyWith = async (scopes: readonly Scope[], inProject = projectId) => {
    const prepared = await prepareKey({ keyring: deps.keyring, passwords: deps.access.passwords }, 'production')
    const order = { tenantId, projectId: inProject, name: 'test', scopes: [...scopes], expiresAt: null, createdBy: null }
    return (await deps.db.tenant(tenantId, (tx) => storeKey(tx, prepared, order))).key
  }
  return { tenantId, projectId, key: await keyWith(SCOPES), project, keyWith }
}

async function makeNumber(tx: Tx, keyring: Keyring, tenant: Tenant, channel: ChannelId) {
  const [id, promptId, agentId] = [newId(), newId(), newId()]
  const place = [tenant.tenantId, tenant.projectId]
  const credentials = sealJson(keyring, { access_token: 'sandbox-access-token', app_secret: 'sandbox-app-secret', verify_token: 'sandbox-verify-token' }, tenant.tenantId)
  const address = channel === 'webchat' ? id : String(10n ** 14n + BigInt(`0x${randomBytes(5).toString('hex')}`))
  await tx.query('INSERT INTO phone_numbers (id, tenant_id, project_id, channel, address, name, credentials_sealed) VALUES ($1, $2, $3, $4, $5, $6, $7)', [id, ...place, channel, address, 'Front desk', credentials])
  await tx.query('INSERT INTO lanes (number_id, tenant_id) VALUES ($1, $2)', [id, tenant.tenantId])
  await tx.query("INSERT INTO prompts (id, tenant_id, project_id, name) VALUES ($1, $2, $3, 'Receptionist')", [promptId, ...place])
  await tx.query("INSERT INTO prompt_versions (id, tenant_id, prompt_id, version, content) VALUES ($1, $2, $3, 1, $4)", [newId(), tenant.tenantId, promptId, JSON.stringify({ instructions: 'Be kind.', model: 'gpt-6-mini' })])
  await tx.query("INSERT INTO agents (id, tenant_id, project_id, name, number_id, prompt_id) VALUES ($1, $2, $3, 'Rosa', $4, $5)", [agentId, ...place, id, promptId])
  return { id, agentId, promptId }
}

async function makeConversation(tx: Tx, keyring: Keyring, tenant: Tenant, number: { id: string; agentId: string | null }, wish: { lastInboundAt?: Date; text?: string }) {
  const [id, contactId, messageId] = [newId(), newId(), newId()]
  const phone = `+4930${BigInt(`0x${randomBytes(4).toString('hex')}`)}`
  const content: InboundContent = { kind: 'text', text: wish.text ?? 'When do you open?' }
  await tx.query("INSERT INTO contacts (id, tenant_id, name) VALUES ($1, $2, 'Ada')", [contactId, tenant.tenantId])
  await tx.query("INSERT INTO contact_identities (id, tenant_id, contact_id, kind, value, source) VALUES ($1, $2, $3, 'phone', $4, 'message')", [newId(), tenant.tenantId, contactId, phone])
  await tx.query(
    'INSERT INTO conversations (id, tenant_id, project_id, number_id, agent_id, contact_id, reply_to, last_seq, last_inbound_at) VALUES ($1, $2, $3, $4, $5, $6, $7, 1, $8)',
    [id, tenant.tenantId, tenant.projectId, number.id, number.agentId, contactId, JSON.stringify({ kind: 'phone', value: phone }), wish.lastInboundAt ?? new Date()],
  )
  await tx.query(
    "INSERT INTO messages (id, tenant_id, conversation_id, number_id, agent_id, seq, direction, author, kind, content_sealed, provider_message_id, status) VALUES ($1, $2, $3, $4, $5, 1, 'inbound', 'customer', 'text', $6, $7, 'answered')",
    [messageId, tenant.tenantId, id, number.id, number.agentId, sealJson(keyring, content, tenant.tenantId), `wamid.${messageId}`],
  )
  return { id, contactId, messageId }
}
