import { Readable } from 'node:stream'
import { CallWord, newId } from '@trunkline/core'
import { wavBytes } from '@trunkline/media'
import { calls, ledger } from '@trunkline/db'
import { makeConversation } from '../harness/office.ts'
import type { TestTenant, World } from './world.ts'

/**
 * How to probe one route. Every route of the API that is not public has an entry here; the isolation test fails for one that
 * has none. `${METHOD} ${url}` is the key, as registered.
 */
export type Probe = {
  /** The path's parameters, pointing at things that this tenant owns and that the request can be done with. Called anew for each request. */
  own?: (world: World, owner: TestTenant) => Promise<Record<string, string>>
  /** A valid body for it. */
  body?: (world: World, owner: TestTenant) => unknown
  /** Bodies that name things of `other`: the caller is `owner`, and each must be refused. */
  foreignBodies?: (world: World, owner: TestTenant, other: TestTenant) => Promise<unknown[]>
  /** What the address says beside its path, of a request that cannot be made without; and such that name things of `other`. */
  query?: (world: World, owner: TestTenant) => Promise<Record<string, string>>
  foreignQuery?: (world: World, owner: TestTenant, other: TestTenant) => Promise<Record<string, string>>
  /** Who the owner's request is made as; the API key with every scope by default. `operator`: a person with `platform_admin`. */
  as?: 'key' | 'owner' | 'operator'
  /** Headers the route cannot do without. */
  headers?: () => Record<string, string>
  /** What another tenant hears when it names the owner's things; 404 unless the route has a reason. */
  refusal?: 403 | 404
  /** A WebSocket: it has no answer of HTTP but refusals, and what it tells is probed beside its code. */
  socket?: true
  /** The path's parameters are no ids (a vendor, a name): the other tenant has things of its own under the same names. */
  perTenantNames?: true
}

type Call = { method: string; url: string; body?: unknown }

/** Does it as the owner and gives the id that comes back. */
async function make(world: World, owner: TestTenant, { method, url, body }: Call, as = owner.key): Promise<string> {
  const answer = await world.call(method, url, { as, body })
  if (answer.status >= 300) throw new Error(`${method} ${url} answered ${answer.status}: ${answer.text}`)
  return String(answer.body.id)
}

let made = 0
/** Unique, and recognisable when it shows up where it does not belong. */
const canary = (owner: TestTenant, noun: string) => `${owner.name} ${noun} ${++made}`

const project = async (world: World, owner: TestTenant) => ({ id: await make(world, owner, { method: 'POST', url: '/v1/admin/projects', body: { name: canary(owner, 'project'), environment: 'staging' } }) })
const key = async (world: World, owner: TestTenant) => ({ id: await make(world, owner, { method: 'POST', url: '/v1/admin/keys', body: { name: canary(owner, 'key'), scopes: ['numbers:read'] } }) })
const invitation = async (world: World, owner: TestTenant) => ({ id: await make(world, owner, { method: 'POST', url: '/v1/admin/invitations', body: { email: `guest${++made}@example.com`, role: 'viewer' } }, owner.as.owner) })
/** A person of their own for each request, so that one request does not take from the next what it needs. */
async function member(world: World, owner: TestTenant): Promise<{ id: string }> {
  const id = newId()
  await world.db.system('test', async (tx) => {
    await tx.query("INSERT INTO users (id, email, password_hash) VALUES ($1, $2, '!')", [id, `${id}@example.com`])
    await tx.query("INSERT INTO memberships (tenant_id, user_id, role) VALUES ($1, $2, 'viewer')", [owner.id, id])
  })
  return { id }
}
const itself = async (_world: World, owner: TestTenant) => ({ id: owner.id })
const vendorKey = async (world: World, owner: TestTenant) => {
  await world.call('PUT', '/v1/admin/vendor-keys/openai', { as: owner.key, body: { key: 'sk-test-0123456789' } })
  return { vendor: 'openai' }
}
const toolSecret = async (world: World, owner: TestTenant) => {
  await world.call('PUT', '/v1/admin/tool-secrets/CRM', { as: owner.key, body: { value: 'Bearer test' } })
  return { name: 'CRM' }
}

/** Tenancy and access. Each file of routes adds its own list to PROBES at the end. */
const access: Record<string, Probe> = {
  'GET /v1/auth/me': {},
  'POST /v1/auth/logout-all': { as: 'owner' },
  'POST /v1/auth/change-password': { as: 'owner', body: () => ({ current_password: 'wrong password', new_password: 'another good password' }) },
  'GET /v1/admin/tenants': {},
  'GET /v1/admin/tenants/:id': { own: itself },
  'PATCH /v1/admin/tenants/:id': { own: itself, as: 'owner', body: (_world, owner) => ({ name: owner.name }) },
  'POST /v1/admin/tenants/:id/suspend': { own: itself, as: 'operator', refusal: 403 },
  'POST /v1/admin/tenants/:id/resume': { own: itself, as: 'operator', refusal: 403 },
  'GET /v1/admin/projects': {},
  'POST /v1/admin/projects': { body: (_world, owner) => ({ name: canary(owner, 'project'), environment: 'staging' }) },
  'GET /v1/admin/projects/:id': { own: project, as: 'owner' },
  'PATCH /v1/admin/projects/:id': { own: project, as: 'owner', body: () => ({ rate_limit_per_minute: 600 }) },
  'DELETE /v1/admin/projects/:id': { own: project, as: 'owner' },
  'GET /v1/admin/keys': {},
  'POST /v1/admin/keys': {
    body: (_world, owner) => ({ name: canary(owner, 'key'), scopes: ['numbers:read'] }),
    foreignBodies: async (world, _owner, other) => [{ name: 'x', scopes: ['numbers:read'], project_id: (await project(world, other)).id }],
  },
  'GET /v1/admin/keys/:id': { own: key },
  'POST /v1/admin/keys/:id/rotate': { own: key, body: () => ({ grace_seconds: 0 }) },
  'DELETE /v1/admin/keys/:id': { own: key },
  'GET /v1/admin/members': {},
  'PATCH /v1/admin/members/:id': { own: member, as: 'owner', body: () => ({ role: 'agent' }) },
  'DELETE /v1/admin/members/:id': { own: member, as: 'owner' },
  'GET /v1/admin/invitations': {},
  'POST /v1/admin/invitations': { as: 'owner', body: () => ({ email: `guest${++made}@example.com`, role: 'viewer' }) },
  'DELETE /v1/admin/invitations/:id': { own: invitation, as: 'owner' },
  'GET /v1/audit': {},
  'GET /v1/admin/vendor-keys': {},
  'PUT /v1/admin/vendor-keys/:vendor': { own: vendorKey, perTenantNames: true, body: () => ({ key: 'sk-test-0123456789' }) },
  'DELETE /v1/admin/vendor-keys/:vendor': { own: vendorKey, perTenantNames: true },
  'GET /v1/admin/tool-secrets': {},
  'PUT /v1/admin/tool-secrets/:name': { own: toolSecret, perTenantNames: true, body: () => ({ value: 'Bearer test' }) },
  'DELETE /v1/admin/tool-secrets/:name': { own: toolSecret, perTenantNames: true },
}

/** What happens, as it happens: apps/api/src/events/socket.test.ts listens as two tenants. */
const news: Record<string, Probe> = { 'GET /v1/events': { socket: true } }

/** Money. The wallet is the caller's own tenant's: no route names another. */
const money: Record<string, Probe> = {
  'GET /v1/credits': {},
  'PATCH /v1/credits': { body: () => ({ low_balance_micros: '1000' }) },
  'POST /v1/credits/topups': { body: () => ({ amount_micros: '1000' }), headers: () => ({ 'idempotency-key': newId() }) },
  'GET /v1/credits/transfers': {},
  'GET /v1/credits/holds': {},
  'GET /v1/usage': {},
  'GET /v1/admin/usage': { as: 'operator' },
}

// ── The business: numbers, prompts, agents, conversations and what is in them ─────────────────────────────────────────
const content = { instructions: 'Be kind.', model: 'gpt-6-mini' }
const place = (owner: TestTenant) => ({ tenantId: owner.id, projectId: owner.projectId })
const seeded = (world: World, owner: TestTenant, sql: string, values: unknown[]) => world.db.tenant(owner.id, (tx) => tx.query(sql, values))

const whatsapp = (owner: TestTenant) => ({ type: 'whatsapp', name: canary(owner, 'number'), address: String(++made), credentials: { access_token: 'sandbox-access-token', app_secret: 'sandbox-app-secret' } })
const number = async (world: World, owner: TestTenant) => ({ id: await make(world, owner, { method: 'POST', url: '/v1/phone-numbers', body: whatsapp(owner) }) })
const prompt = async (world: World, owner: TestTenant) => ({ id: await make(world, owner, { method: 'POST', url: '/v1/prompts', body: { name: canary(owner, 'prompt'), content } }) })
const promptVersion = async (world: World, owner: TestTenant) => ({ ...(await prompt(world, owner)), version: '1' })
const agentBody = async (world: World, owner: TestTenant) => ({ name: canary(owner, 'agent'), number_id: (await number(world, owner)).id, prompt_id: (await prompt(world, owner)).id })
const agent = async (world: World, owner: TestTenant) => ({ id: await make(world, owner, { method: 'POST', url: '/v1/agents', body: await agentBody(world, owner) }) })
const conversationOn = async (world: World, owner: TestTenant) => {
  const line = await number(world, owner)
  const made = await world.db.tenant(owner.id, (tx) => makeConversation(tx, world.deps.keyring, place(owner), { id: line.id, agentId: null }, { text: canary(owner, 'words') }))
  return { ...made, numberId: line.id }
}
const conversation = async (world: World, owner: TestTenant) => ({ id: (await conversationOn(world, owner)).id })
const contact = async (world: World, owner: TestTenant) => ({ id: (await conversationOn(world, owner)).contactId })
async function merge(world: World, owner: TestTenant): Promise<Record<string, string>> {
  const [{ id }, other] = [await contact(world, owner), await contact(world, owner)]
  return { id, merge_id: await make(world, owner, { method: 'POST', url: `/v1/contacts/${id}/merges`, body: { contact_id: other.id } }) }
}
const message = async (world: World, owner: TestTenant) => ({ id: (await conversationOn(world, owner)).messageId })
const archive = async (world: World, owner: TestTenant) => {
  const { numberId } = await conversationOn(world, owner)
  const answer = await world.call('DELETE', `/v1/phone-numbers/${numberId}`, { as: owner.key })
  return { id: String(JSON.parse(answer.text).archive_id) }
}
const words = () => ({ content: { kind: 'text', text: 'We open at nine.' } })
async function failedMessage(world: World, owner: TestTenant): Promise<{ id: string }> {
  const { id: conversationId } = await conversation(world, owner)
  const id = await make(world, owner, { method: 'POST', url: `/v1/conversations/${conversationId}/messages`, body: words() })
  await seeded(world, owner, "UPDATE outbox SET state = 'failed' WHERE message_id = $1", [id])
  await seeded(world, owner, "UPDATE messages SET status = 'failed' WHERE id = $1", [id])
  return { id }
}
const notice = async (world: World, owner: TestTenant) => {
  const [line, id] = [await number(world, owner), newId()]
  await seeded(world, owner, "INSERT INTO number_notices (id, tenant_id, number_id, topic, severity) VALUES ($1, $2, $3, 'quality', 'info')", [id, owner.id, line.id])
  return { id: line.id, notice_id: id }
}
const failedFile = async (world: World, owner: TestTenant) => {
  const [line, id] = [await number(world, owner), newId()]
  await seeded(world, owner, "INSERT INTO media (id, tenant_id, number_id, source, state) VALUES ($1, $2, $3, '{}', 'failed')", [id, owner.id, line.id])
  return { id }
}
const form = () => ({ 'content-type': 'multipart/form-data; boundary=frontier' })
const file = () => Buffer.from('--frontier\r\ncontent-disposition: form-data; name="file"; filename="menu.png"\r\ncontent-type: image/png\r\n\r\nbytes\r\n--frontier--\r\n')
async function storedFile(world: World, owner: TestTenant): Promise<{ id: string }> {
  const line = await number(world, owner)
  const answer = await world.call('POST', `/v1/phone-numbers/${line.id}/media`, { as: owner.key, headers: form(), body: file() })
  return { id: String(answer.body.id) }
}
async function lead(world: World, owner: TestTenant): Promise<{ id: string }> {
  const { id: conversationId, contactId, messageId, numberId } = await conversationOn(world, owner)
  const id = newId()
  await seeded(
    world,
    owner,
    "INSERT INTO leads (id, tenant_id, project_id, conversation_id, number_id, contact_id, name, evidence_message_ids, extracted_seq, extracted_by) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 1, 'rules')",
    [id, owner.id, owner.projectId, conversationId, numberId, contactId, canary(owner, 'lead'), [messageId]],
  )
  return { id }
}

const business: Record<string, Probe> = {
  'GET /v1/phone-numbers': {},
  'POST /v1/phone-numbers': {
    body: (_world, owner) => whatsapp(owner),
    foreignBodies: async (world, owner, other) => [{ ...whatsapp(owner), project_id: (await project(world, other)).id }],
  },
  'GET /v1/phone-numbers/:id': { own: number },
  'PATCH /v1/phone-numbers/:id': { own: number, body: () => ({ window_size: 4 }) },
  'DELETE /v1/phone-numbers/:id': { own: number },
  'POST /v1/phone-numbers/:id/credentials': { own: number, body: () => ({ credentials: {} }) },
  'POST /v1/phone-numbers/:id/stop': { own: number },
  'POST /v1/phone-numbers/:id/resume': { own: number },
  'POST /v1/phone-numbers/:id/media': { own: number, headers: form, body: file },
  'GET /v1/phone-numbers/:id/notices': { own: number },
  'POST /v1/phone-numbers/:id/notices/:notice_id/acknowledge': { own: notice },
  'GET /v1/prompts': {},
  'POST /v1/prompts': {
    body: (_world, owner) => ({ name: canary(owner, 'prompt'), content }),
    foreignBodies: async (world, _owner, other) => [{ name: 'x', content, project_id: (await project(world, other)).id }],
  },
  'POST /v1/prompts/import-legacy': { body: (_world, owner) => ({ name: canary(owner, 'prompt'), legacy_id: 'pmpt_68ac', content }) },
  'GET /v1/prompts/:id': { own: prompt },
  'PATCH /v1/prompts/:id': { own: prompt, body: (_world, owner) => ({ name: canary(owner, 'prompt') }) },
  'POST /v1/prompts/:id/archive': { own: prompt },
  'POST /v1/prompts/:id/restore': { own: prompt },
  'POST /v1/prompts/:id/versions': { own: prompt, body: () => ({ content }) },
  'GET /v1/prompts/:id/versions': { own: prompt },
  'GET /v1/prompts/:id/versions/:version': { own: promptVersion },
  'POST /v1/prompts/:id/rollback': { own: prompt, body: () => ({ version: 1 }) },
  'GET /v1/prompts/:id/diff': { own: prompt },
  'GET /v1/agents': {},
  'POST /v1/agents': {
    body: agentBody,
    foreignBodies: async (world, owner, other) => [
      { ...(await agentBody(world, owner)), number_id: (await number(world, other)).id },
      { ...(await agentBody(world, owner)), prompt_id: (await prompt(world, other)).id },
    ],
  },
  'GET /v1/agents/:id': { own: agent },
  'PATCH /v1/agents/:id': { own: agent, body: (_world, owner) => ({ name: canary(owner, 'agent') }) },
  'DELETE /v1/agents/:id': { own: agent },
  'POST /v1/agents/:id/relink': {
    own: agent,
    body: async (world, owner) => ({ prompt_id: (await prompt(world, owner)).id }),
    foreignBodies: async (world, _owner, other) => [{ prompt_id: (await prompt(world, other)).id }],
  },
  'GET /v1/conversations': {},
  'GET /v1/conversations/:id': { own: conversation },
  'PATCH /v1/conversations/:id': { own: conversation, body: () => ({ handler: 'human' }) },
  'POST /v1/conversations/:id/take-over': { own: conversation },
  'POST /v1/conversations/:id/hand-back': { own: conversation },
  'POST /v1/conversations/:id/close': { own: conversation },
  'GET /v1/conversations/:id/messages': { own: conversation },
  'POST /v1/conversations/:id/messages': {
    own: conversation,
    body: words,
    foreignBodies: async (world, _owner, other) => [
      { ...words(), reply_to_message_id: (await message(world, other)).id },
      { content: { kind: 'image', media: { media_id: (await storedFile(world, other)).id } } },
    ],
  },
  'GET /v1/messages': {},
  'GET /v1/messages/:id': { own: message },
  'POST /v1/messages/:id/retry': { own: failedMessage },
  'GET /v1/archives': {},
  'GET /v1/archives/:id': { own: archive },
  'GET /v1/archives/:id/conversations': { own: archive },
  'GET /v1/contacts': {},
  'GET /v1/contacts/:id': { own: contact },
  'PATCH /v1/contacts/:id': { own: contact, body: (_world, owner) => ({ name: canary(owner, 'contact') }) },
  'GET /v1/contacts/:id/merges': { own: contact },
  'POST /v1/contacts/:id/merges': {
    own: contact,
    body: async (world, owner) => ({ contact_id: (await contact(world, owner)).id }),
    foreignBodies: async (world, _owner, other) => [{ contact_id: (await contact(world, other)).id }],
  },
  'POST /v1/contacts/:id/merges/:merge_id/undo': { own: merge },
  'GET /v1/media': {},
  'GET /v1/media/:id': { own: storedFile },
  'GET /v1/media/:id/content': { own: storedFile },
  'POST /v1/media/:id/retry': { own: failedFile },
  'GET /v1/leads': {},
  'GET /v1/leads/export.csv': {},
  'GET /v1/leads/:id': { own: lead },
  'PATCH /v1/leads/:id': { own: lead, body: () => ({ status: 'contacted' }) },
  'GET /v1/leads/:id/evidence': { own: lead },
}

// ── Telephone calls ───────────────────────────────────────────────────────────────────────────────────────────────────
const ACCOUNT = { account_sid: `AC${'0'.repeat(32)}`, auth_token: 'a-token-of-nobody' }
const telephone = (owner: TestTenant) => ({ type: 'voice', name: canary(owner, 'telephone'), address: `+1500${String(5_550_000 + ++made)}`, credentials: ACCOUNT, settings: { carrier: 'twilio' } })
const callTo = (from: string) => ({ from, to: '+4799887766' })
const purchase = (owner: TestTenant, how: object) => ({ number: `+1500${String(5_550_000 + ++made)}`, name: canary(owner, 'bought'), ...how })
/** A call has to be paid for. */
async function richTelephone(world: World, owner: TestTenant): Promise<{ id: string }> {
  await world.db.system('test', (tx) => ledger.topUp(tx, { tenantId: owner.id, amountMicros: 1_000_000_000n, memo: 'test', idempotencyKey: newId(), actor: { kind: 'system', id: 'test' } }))
  return answeredTelephone(world, owner)
}
async function answeredTelephone(world: World, owner: TestTenant): Promise<{ id: string; address: string }> {
  const body = telephone(owner)
  const id = await make(world, owner, { method: 'POST', url: '/v1/phone-numbers', body })
  await make(world, owner, { method: 'POST', url: '/v1/agents', body: { name: canary(owner, 'agent'), number_id: id, prompt_id: (await prompt(world, owner)).id } })
  return { id, address: body.address }
}
/** A live call that the carrier knows and somebody has taken. */
async function call(world: World, owner: TestTenant): Promise<{ id: string }> {
  const { id: numberId, address } = await answeredTelephone(world, owner)
  const [id, from] = [newId(), `+4799${String(100_000 + ++made)}`]
  await world.db.system('test', async (tx) => {
    await calls.open(tx, {
      callId: id, tenantId: owner.id, numberId, direction: 'inbound', carrier: 'twilio', carrierCallId: `CA${newId()}`, from, to: address, contact: { identity: { kind: 'phone', value: from }, name: canary(owner, 'caller') },
      holdMicros: 0n, holdUntil: new Date(Date.now() + 3_600_000), limits: { number: 100, tenant: 1_000 },
    })
    await calls.progress(tx, id, 'in_progress')
  })
  return { id }
}
/** A call whose process answers, as the voice does. */
async function attendedCall(world: World, owner: TestTenant): Promise<{ id: string }> {
  const { id } = await call(world, owner)
  const { bell } = world.deps.ports
  await world.db.system('test', (tx) => calls.setRecording(tx, id, { state: 'recording', key: null, durationMs: null, sizeBytes: null }))
  bell.listen(`call:${id}`, (text) => {
    const { supervise, supervise_as: change, recording } = CallWord.parse(JSON.parse(text))
    if (supervise) bell.ring(supervise.reply, JSON.stringify({ answer: { sdp: 'v=0 too', leg: 'a leg' } }))
    if (change) bell.ring(change.reply, JSON.stringify({ answer: { leg: change.leg } }))
    if (recording) void world.db.system('test', (tx) => calls.note(tx, id, [{ kind: 'recording', atMs: null, data: { state: recording === 'pause' ? 'paused' : 'resumed' } }]))
  })
  await bell.listening(`call:${id}`)
  return { id }
}
async function recordedCall(world: World, owner: TestTenant): Promise<{ id: string }> {
  const { id } = await call(world, owner)
  const { key, sizeBytes } = await world.deps.ports.mediaStore.put(owner.id, Readable.from([Buffer.from(canary(owner, 'voice'))]), { maxBytes: 1_000 })
  await world.db.system('test', (tx) => calls.setRecording(tx, id, { state: 'stored', key, durationMs: 1, sizeBytes }))
  return { id }
}

const simulationOf = (agentId: string) => ({ agent_id: agentId, callers: [{ script: [{ say: 'When do you open?' }] }], assertions: [{ heard: 'nine' }] })
async function telephoneAgent(world: World, owner: TestTenant): Promise<string> {
  const number = await make(world, owner, { method: 'POST', url: '/v1/phone-numbers', body: telephone(owner) })
  return make(world, owner, { method: 'POST', url: '/v1/agents', body: { name: canary(owner, 'agent'), number_id: number, prompt_id: (await prompt(world, owner)).id } })
}
const simulation = async (world: World, owner: TestTenant): Promise<{ id: string }> => {
  const id = await make(world, owner, { method: 'POST', url: '/v1/simulations', body: simulationOf(await telephoneAgent(world, owner)) })
  // A tenant may have ten that are not over.
  await world.db.system('test', (tx) => tx.query("UPDATE simulations SET status = 'cancelled', ended_at = now() WHERE ended_at IS NULL AND id <> $1", [id]))
  return { id }
}

const telephony: Record<string, Probe> = {
  'GET /v1/simulations': {},
  'POST /v1/simulations': {
    body: async (world, owner) => simulationOf(await telephoneAgent(world, owner)),
    foreignBodies: async (world, _owner, other) => [simulationOf(await telephoneAgent(world, other))],
  },
  'GET /v1/simulations/:id': { own: simulation },
  'POST /v1/simulations/:id/cancel': { own: simulation },
  'GET /v1/calls': {},
  'GET /v1/calls/:id': { own: call },
  'GET /v1/calls/:id/transcript': { own: call },
  'GET /v1/calls/:id/events': { own: call },
  'GET /v1/calls/:id/recording': { own: recordedCall },
  'POST /v1/calls': {
    headers: () => ({ 'idempotency-key': newId() }),
    body: async (world, owner) => callTo((await richTelephone(world, owner)).id),
    foreignBodies: async (world, _owner, other) => {
      const { id, address } = await answeredTelephone(world, other)
      return [callTo(id), callTo(address)]
    },
  },
  'POST /v1/calls/:id/hangup': { own: call },
  'POST /v1/calls/:id/transfer': { own: call, body: () => ({ to: '+4799887766' }) },
  'POST /v1/calls/:id/dtmf': { own: call, body: () => ({ digits: '1' }) },
  'POST /v1/calls/:id/supervise': { own: attendedCall, body: () => ({ sdp: 'v=0 and so on' }) },
  'PATCH /v1/calls/:id/supervise/:leg_id': { own: async (world, owner) => ({ ...(await attendedCall(world, owner)), leg_id: 'a leg' }), body: () => ({ mode: 'whisper' }) },
  'DELETE /v1/calls/:id/supervise/:leg_id': { own: async (world, owner) => ({ ...(await call(world, owner)), leg_id: 'a leg' }) },
  'POST /v1/calls/:id/note': { own: call, body: () => ({ text: 'Be kind.' }) },
  'POST /v1/calls/:id/recording/pause': { own: attendedCall },
  'POST /v1/calls/:id/recording/resume': { own: attendedCall },
  'GET /v1/phone-numbers/available': {
    query: async (world, owner) => ({ via_number_id: (await answeredTelephone(world, owner)).id, country: 'US' }),
    foreignQuery: async (world, _owner, other) => ({ via_number_id: (await answeredTelephone(world, other)).id, country: 'US' }),
  },
  'POST /v1/phone-numbers/available': { body: () => ({ carrier: 'twilio', credentials: ACCOUNT, country: 'US' }) },
  'POST /v1/phone-numbers/purchase': {
    headers: () => ({ 'idempotency-key': newId() }),
    body: async (world, owner) => purchase(owner, { via_number_id: (await answeredTelephone(world, owner)).id }),
    foreignBodies: async (world, owner, other) => [
      purchase(owner, { via_number_id: (await answeredTelephone(world, other)).id }),
      purchase(owner, { carrier: 'twilio', credentials: ACCOUNT, project_id: (await project(world, other)).id }),
    ],
  },
}

/** Whatever a secret opens is its maker's own. */
const secretOf = (model: string) => ({ session: { type: 'realtime', model } })
const realtimeSessions: Record<string, Probe> = {
  'POST /v1/realtime/client_secrets': {
    body: async (world, owner) => secretOf((await agent(world, owner)).id),
    foreignBodies: async (world, _owner, other) => [secretOf((await agent(world, other)).id)],
  },
  'POST /v1/realtime/sessions': {
    body: async (world, owner) => ({ model: (await agent(world, owner)).id }),
    foreignBodies: async (world, _owner, other) => [{ model: (await agent(world, other)).id }],
  },
  'POST /v1/realtime/transcription_sessions': { body: () => ({}) },
}

// ── Speech ────────────────────────────────────────────────────────────────────────────────────────────────────────────
const WAV = Buffer.from(wavBytes(new Int16Array(1_600), 8_000))
const soundForm = () => Buffer.concat([
  Buffer.from('--frontier\r\ncontent-disposition: form-data; name="model"\r\n\r\nwhisper\r\n--frontier\r\ncontent-disposition: form-data; name="file"; filename="said.wav"\r\ncontent-type: audio/wav\r\n\r\n'),
  WAV, Buffer.from('\r\n--frontier--\r\n'),
])
const speech: Record<string, Probe> = {
  'GET /v1/tts/voices': {},
  'POST /v1/audio/speech': { body: () => ({ model: 'espeak', input: 'Hello.', voice: 'alloy', response_format: 'pcm' }) },
  'POST /v1/audio/transcriptions': { headers: form, body: soundForm },
}

export const PROBES: Record<string, Probe> = { ...access, ...news, ...money, ...speech, ...business, ...telephony, ...realtimeSessions }
