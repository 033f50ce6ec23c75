import { once } from 'node:events'
import { newId, type OutboundContent } from '@trunkline/core'
import { sealJson } from '@trunkline/db'
import { WebSocket } from 'ws'
import { FrameClient } from '../../../../tests/harness/frames.ts'
import { createWorld, TEST_CONFIG, type TestTenant, type World } from '../../../../tests/isolation/world.ts'
import type { Limits } from './limits.ts'

export const ORIGIN = 'https://shop.example.com'

export type Frame = { type: string; [key: string]: unknown } & { message?: { seq: number; id: string; content: { text?: string }; author: string; client_message_id?: string }; error?: { code: string }; last_seq?: number; client_message_id?: string; message_id?: string; duplicate?: boolean }

/** A chat on the real API over real sockets, and a hand that writes what the worker would write. */
export type ChatWorld = World & {
  tenant: TestTenant
  /** `http://127.0.0.1:<port>` */
  url: string
  /** A number of type webchat. */
  number(settings?: Record<string, unknown>, tenant?: TestTenant): Promise<string>
  session(numberId: string, token?: string): Promise<{ token: string; visitorId: string; messages: NonNullable<Frame['message']>[] }>
  post(numberId: string, path: string, token: string | undefined, body: unknown): Promise<{ status: number; body: Record<string, unknown> & { error?: { code: string; param: string | null } } }>
  socket(numberId: string, headers?: Record<string, string>): Promise<Client>
  conversation(numberId: string, visitorId: string): Promise<Conversation>
}

export async function openChatWorld(limits: Partial<Limits> = {}): Promise<ChatWorld> {
  const world = await createWorld({ config: { ...TEST_CONFIG, webchat: limits } })
  const url = await world.app.listen({ host: '127.0.0.1', port: 0 })
  const tenant = await world.newTenant('Harbour Bikes')
  const post: ChatWorld['post'] = async (numberId, path, token, body) => {
    const headers = { 'content-type': 'application/json', origin: ORIGIN, ...(token === undefined ? {} : { authorization: `Bearer ${token}` }) }
    const response = await fetch(`${url}/v1/webchat/${numberId}${path}`, { method: 'POST', headers, body: JSON.stringify(body) })
    return { status: response.status, body: (await response.json()) as Awaited<ReturnType<ChatWorld['post']>>['body'] }
  }
  return {
    ...world,
    tenant,
    url,
    post,
    async number(settings = {}, owner = tenant) {
      const made = await world.call('POST', '/v1/phone-numbers', { as: owner.key, body: { type: 'webchat', name: 'Chat', settings: { allowed_origins: [ORIGIN], ...settings } } })
      if (made.status !== 201) throw new Error(made.text)
      return String(made.body['id'])
    },
    async session(numberId, token) {
      const made = await post(numberId, '/sessions', undefined, token === undefined ? {} : { session_token: token })
      if (made.status !== 201) throw new Error(JSON.stringify(made.body))
      return { token: String(made.body['session_token']), visitorId: String(made.body['visitor_id']), messages: made.body['messages'] as NonNullable<Frame['message']>[] }
    },
    async socket(numberId, headers = { origin: ORIGIN }) {
      const socket = new WebSocket(`${url.replace('http', 'ws')}/v1/webchat/${numberId}/socket`, { headers })
      const client = new Client(socket)
      await once(socket, 'open')
      return client
    },
    conversation: (numberId, visitorId) => beginConversation(world, tenant, numberId, visitorId),
  }
}

/** A visitor's end of a socket. */
export class Client extends FrameClient<Frame> {
  get messages(): NonNullable<Frame['message']>[] {
    return this.frames.flatMap((frame) => (frame.type === 'message' ? [frame.message!] : []))
  }

  get texts(): (string | undefined)[] {
    return this.messages.map((message) => message.content.text)
  }
}

export type OutboxState = 'pending' | 'sending' | 'accepted' | 'failed' | 'unknown' | 'parked' | 'cancelled'
export type Conversation = {
  id: string
  /** Adds words of ours; with a ring unless it is told not to. */
  says(text: string, state?: OutboxState, options?: { ring?: boolean; content?: OutboundContent }): Promise<string>
  /** Adds words of the visitor, as a turn does. */
  hears(text: string, clientMessageId?: string): Promise<string>
  /** Changes what became of a message of ours. */
  becomes(messageId: string, state: OutboxState, options?: { ring?: boolean }): Promise<void>
  close(): Promise<void>
}

async function beginConversation(world: World, tenant: TestTenant, numberId: string, visitorId: string): Promise<Conversation> {
  const id = newId()
  const seal = (content: unknown) => sealJson(world.deps.keyring, content, tenant.id)
  const ring = () => world.deps.ports.bell.ring(`webchat:${numberId}:${visitorId}`, '{"type":"message"}')
  await world.db.tenant(tenant.id, async (tx) => {
    const known = await tx.query<{ contact_id: string }>("SELECT contact_id FROM contact_identities WHERE kind = 'visitor' AND value = $1", [visitorId])
    const contactId = known.rows[0]?.contact_id ?? newId()
    if (known.rows.length === 0) {
      await tx.query('INSERT INTO contacts (id, tenant_id) VALUES ($1, $2)', [contactId, tenant.id])
      await tx.query("INSERT INTO contact_identities (id, tenant_id, contact_id, kind, scope, value, source) VALUES ($1, $2, $3, 'visitor', $4, $5, 'message')", [newId(), tenant.id, contactId, numberId, visitorId])
    }
    await tx.query("INSERT INTO conversations (id, tenant_id, project_id, number_id, contact_id, reply_to) VALUES ($1, $2, $3, $4, $5, $6)", [id, tenant.id, tenant.projectId, numberId, contactId, JSON.stringify({ kind: 'visitor', value: visitorId })])
  })

  const add = (messageId: string, direction: 'inbound' | 'outbound', content: unknown, providerMessageId: string | null, state: OutboxState | null) =>
    world.db.tenant(tenant.id, async (tx) => {
      const { rows } = await tx.query<{ last_seq: string }>('UPDATE conversations SET last_seq = last_seq + 1 WHERE id = $1 RETURNING last_seq', [id])
      await tx.query(
        "INSERT INTO messages (id, tenant_id, conversation_id, number_id, seq, direction, author, kind, content_sealed, provider_message_id, status) VALUES ($1, $2, $3, $4, $5, $6, $7, 'text', $8, $9, $10)",
        [messageId, tenant.id, id, numberId, rows[0]!.last_seq, direction, direction === 'inbound' ? 'customer' : 'agent', seal(content), providerMessageId, direction === 'inbound' ? 'received' : 'queued'],
      )
      if (state) await tx.query('INSERT INTO outbox (id, tenant_id, number_id, conversation_id, message_id, state, request_sealed) VALUES ($1, $2, $3, $4, $5, $6, $7)', [newId(), tenant.id, numberId, id, messageId, state, seal({})])
    })

  return {
    id,
    async says(text, state = 'sending', options = {}) {
      const messageId = newId()
      await add(messageId, 'outbound', options.content ?? { kind: 'text', text }, null, state)
      if (options.ring !== false) ring()
      return messageId
    },
    async hears(text, clientMessageId = newId()) {
      const messageId = newId()
      await add(messageId, 'inbound', { kind: 'text', text }, `web:${visitorId}:${clientMessageId}`, null)
      return messageId
    },
    async becomes(messageId, state, options = {}) {
      await world.db.tenant(tenant.id, (tx) => tx.query('UPDATE outbox SET state = $2 WHERE message_id = $1', [messageId, state]))
      if (options.ring !== false) ring()
    },
    close: async () => void (await world.db.tenant(tenant.id, (tx) => tx.query("UPDATE conversations SET status = 'closed' WHERE id = $1", [id]))),
  }
}
