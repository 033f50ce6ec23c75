import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { checkPrompt } from '@trunkline/agents'
import { carriers, channels, type CarrierClient } from '@trunkline/channels'
import { newId, silentLogger, systemClock, type CarrierId, type ChannelClient, type MessageChannelId } from '@trunkline/core'
import { connectDb, connectRedis, createAcceptor, createAccess, createBell, createCache, createEventBus, createFolderStore, createKeyring, createLimiter, createNumberRouting, insertMembership, insertProject, insertTenant, insertUser, ledger, markEmailVerified, numbers, Role, SCOPES, type Db, type EventLimits, type Redis, type Scope } from '@trunkline/db'
import { openSpeechHouse, type SttEngine } from '@trunkline/media'
import { Registry } from 'prom-client'
import { buildApp } from '../../apps/api/src/app.ts'
import type { ApiApp, ApiDeps, Mail } from '../../apps/api/src/deps.ts'
import { prepareKey, storeKey } from '../../apps/api/src/new-key.ts'
import { issueSession } from '../../apps/api/src/session.ts'
import { createAccessTokens } from '../../apps/api/src/tokens.ts'
import { Restarts } from '../../apps/api/src/voice/restarts.ts'
import { freshDatabase, TEST_SECRET, type FreshDatabase } from '../harness/database.ts'
import { freshRedis } from '../harness/redis.ts'

/** The real API on a real Postgres and Redis, called in process. Only the mail is caught, and suppliers' clients are the tests' own. */
export type World = {
  app: ApiApp
  deps: ApiDeps
  db: Db
  redis: Redis
  database: FreshDatabase
  mails: Mail[]
  /** One request. `as` is an API key or an access token. */
  call(method: string, url: string, options?: CallOptions): Promise<Answer>
  newTenant(name: string): Promise<TestTenant>
  close(): Promise<void>
}

export type CallOptions = { as?: string; body?: unknown; headers?: Record<string, string> }
export type Answer = { status: number; headers: Record<string, unknown>; text: string; body: AnswerBody }
/** What tests look into without a schema. */
export type AnswerBody = { [key: string]: AnswerBody } & { [index: number]: AnswerBody } & { toString(): string }

export type TestTenant = {
  id: string
  name: string
  projectId: string
  /** An API key with every scope. */
  key: string
  /** Access tokens of one person per role. */
  as: Record<Role, string>
  userIds: Record<Role, string>
  /** Another API key, with these scopes only. */
  keyWith(scopes: Scope[]): Promise<string>
}

export const TEST_CONFIG: ApiDeps['config'] = {
  publicUrl: 'http://api.test',
  appUrl: 'http://app.test',
  trustProxy: false,
  bodyLimitBytes: 1_048_576,
  requestTimeoutMs: 30_000,
  rateLimits: { global: 0, tenant: 0, project: 0, publicPerIp: 0 },
  guessing: { perAccountAndIp: 1_000, perIp: 10_000, perAccount: 1_000, signUpsPerIp: 1_000 },
  corsOrigins: [],
}

/** Accepts every number's credentials; what is sent is the business of other tests. */
const quietClient: ChannelClient = {
  send: async () => ({ status: 'accepted', providerMessageId: `test-${newId()}` }),
  typing: async () => {},
  fetchMedia: async () => ({ bytes: new Uint8Array(0), mimeType: 'application/octet-stream' }),
  check: async () => {},
}

/** Knows every credential; there is no carrier behind it. */
function quietCarrier(id: CarrierId): CarrierClient {
  const owned = (number: string) => ({ carrierNumberId: `PN${newId()}`, number })
  return {
    ...carriers[id].client({ baseUrl: 'http://127.0.0.1:9', timeoutMs: 1_000 }),
    check: async () => {}, perform: async () => {}, transfer: async () => {}, sendDtmf: async () => {}, redirect: async () => {}, assignNumber: async () => {},
    hangUp: async () => 'ended', place: async () => ({ status: 'accepted', carrierCallId: `CA${newId()}` }),
    searchNumbers: async () => [{ number: '+14155550123', region: null, locality: null, features: ['voice'] }],
    findNumber: async (_config, number) => owned(number), buyNumber: async (_config, number) => owned(number),
  }
}

/** Hears nothing in every file; what engines do is the business of other tests. */
const quietEar: SttEngine = {
  id: 'whisper', model: 'quiet', finalP99Ms: 0,
  open: () => { throw new Error('nobody listens here') },
  transcribe: async (pcm, { sampleRateHz }) => ({
    text: '', words: [], language: null, durationMs: (pcm.length / sampleRateHz) * 1_000,
    usage: { kind: 'stt', engine: 'whisper', model: 'quiet', audioMs: 0, characters: 0, firstResultMs: null, latencyMs: 0, outcome: 'ok', requestId: null },
  }),
}

export async function createWorld(overrides: Partial<ApiDeps> = {}, { url, prefix }: { url: string; prefix: string } = freshRedis(), eventLimits: Partial<EventLimits> = {}): Promise<World> {
  const database = await freshDatabase()
  const [redis, subscriber] = [connectRedis({ url, prefix }), connectRedis({ url, prefix })]
  await Promise.all([redis.connect(), subscriber.connect()])
  const db = connectDb({ url: database.url, secret: TEST_SECRET, onCommitted: (notes) => events.committed(notes) })
  const folder = await mkdtemp(join(tmpdir(), 'trunkline-test-'))
  const mails: Mail[] = []
  const keyring = createKeyring([TEST_SECRET])
  const [clock, log, cache] = [systemClock, silentLogger, createCache(redis)]
  const bell = createBell(redis, { url, prefix })
  const events = createEventBus({ redis, keyring, clock, log }, eventLimits)
  const access = createAccess({ db, redis, subscriber, keyring, clock, log })
  const carrierClients = overrides.carrierClients ?? { twilio: quietCarrier('twilio'), telnyx: quietCarrier('telnyx') }
  const house = await openSpeechHouse({ vad: 'energy' }, { clock, log })
  const deps: ApiDeps = {
    db,
    redis,
    keyring,
    cache,
    access,
    clock,
    log,
    channels,
    carriers,
    carrierClients,
    voice: {
      db, clock, log, bell, carrierClients, restarts: new Restarts({ clock, log }), tenantCallsMax: 100,
      addresses: { publicUrl: TEST_CONFIG.publicUrl, mediaUrl: 'ws://127.0.0.1:9', mediaKey: keyring.derive('call media') },
    },
    speech: { forTenant: async () => ({ ...house, stt: () => quietEar, engines: () => ({ ...house.engines(), stt: [{ engine: 'whisper' as const, model: 'quiet' }] }) }) },
    tokens: createAccessTokens(keyring, clock),
    limiter: createLimiter({ redis }),
    config: TEST_CONFIG,
    clients: Object.fromEntries(Object.keys(channels).map((id) => [id, quietClient])) as Record<MessageChannelId, ChannelClient>,
    mailer: { send: (mail) => void mails.push(mail), close: async () => {} },
    provision: async (tx, { tenantId }) => {
      await ledger.openAccounts(tx, tenantId)
      return async () => {}
    },
    metrics: new Registry(),
    events,
    ports: {
      mediaStore: createFolderStore(folder),
      routing: createNumberRouting({ db, redis, cache, keyring, clock }),
      accept: createAcceptor({ db, redis, keyring, clock, log }).accept,
      numberByAddress: (tenantId, channel, address) => db.tenant(tenantId, (tx) => numbers.findByAddress(tx, channel, address)),
      wakeDirectSends: async () => {},
      wakeMedia: async () => {},
      bell,
      checkPrompt: (content) => checkPrompt(content),
      checkAddress: () => null,
    },
    ...overrides,
  }
  const app = await buildApp(deps)
  const world: World = {
    app,
    deps,
    db,
    redis,
    database,
    mails,
    call: (method, url, options) => call(app, method, url, options),
    newTenant: (name) => newTenant(deps, name),
    async close() {
      await app.close()
      await house.close()
      await access.close()
      await events.close()
      bell.close()
      redis.disconnect()
      subscriber.disconnect()
      await db.close()
      await database.drop()
      await rm(folder, { recursive: true })
    },
  }
  return world
}

async function call(app: ApiApp, method: string, url: string, { as, body, headers }: CallOptions = {}): Promise<Answer> {
  const response = await app.inject({
    method: method as 'GET',
    url,
    headers: { ...(as === undefined ? {} : { authorization: `Bearer ${as}` }), ...headers },
    ...(body === undefined ? {} : { payload: body as object }),
  })
  const json = response.headers['content-type']?.startsWith('application/json')
  return { status: response.statusCode, headers: response.headers, text: response.body, body: json ? response.json<AnswerBody>() : {} }
}

async function newTenant(deps: ApiDeps, name: string): Promise<TestTenant> {
  const [id, projectId] = [newId(), newId()]
  const roles = Role.options
  const prepare = () => prepareKey({ keyring: deps.keyring, passwords: deps.access.passwords }, 'production')
  const prepared = await prepare()
  const order = { tenantId: id, projectId, name: 'Test', expiresAt: null, createdBy: null }
  const made = await deps.db.system('test', async (tx) => {
    await insertTenant(tx, { id, name })
    await insertProject(tx, { id: projectId, tenantId: id, name: 'Production', environment: 'production' })
    await ledger.openAccounts(tx, id)
    const people = []
    for (const role of roles) {
      const userId = newId()
      await insertUser(tx, { id: userId, email: `${role}.${userId}@example.com`, name: `${name} ${role}`, passwordHash: '!' })
      await markEmailVerified(tx, userId)
      await insertMembership(tx, { tenantId: id, userId, role })
      people.push({ role, userId, token: (await issueSession(tx, deps, { userId, tenantId: id })).access_token })
    }
    return { people, key: (await storeKey(tx, prepared, { ...order, scopes: [...SCOPES] })).key }
  })
  return {
    id,
    name,
    projectId,
    key: made.key,
    as: Object.fromEntries(made.people.map(({ role, token }) => [role, token])) as Record<Role, string>,
    userIds: Object.fromEntries(made.people.map(({ role, userId }) => [role, userId])) as Record<Role, string>,
    async keyWith(scopes) {
      const prepared = await prepare()
      return (await deps.db.system('test', (tx) => storeKey(tx, prepared, { ...order, scopes }))).key
    },
  }
}
