import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { newId } from '@trunkline/core'
import type { EventLimits, NewEvent } from '@trunkline/db'
import { WebSocket } from 'ws'
import { FrameClient } from '../../../../tests/harness/frames.ts'
import { createWorld, TEST_CONFIG, type TestTenant, type World } from '../../../../tests/isolation/world.ts'
import type { Limits } from './limits.ts'

export type Heard = { type: string; id?: string; tenant_id?: string; project_id?: string | null; last_event_id?: string; resumed?: boolean; types?: string[] | null; data: Record<string, never> & { text?: string; reason?: string; message?: Record<string, unknown>; lead?: Record<string, unknown>; conversation?: Record<string, unknown> }; error?: { code: string; param: string | null; message: string } }

/** The API over real sockets, and the bus that a worker would publish on. */
export type EventWorld = World & {
  url: string
  tenant: TestTenant
  /** Says something in a call of the tenant, in its own project unless another is named. */
  say(tenant: TestTenant, text: string, options?: { projectId?: string; conversationId?: string }): void
  /** Sockets that the server holds. */
  held(): Promise<number>
  /** As soon as everything published so far lies in Redis. */
  told(): Promise<void>
  listen(credential: string | Handshake, query?: Record<string, string>): Promise<Client>
  /** What a handshake that is refused is answered. The connection is then closed by the server. */
  refusal(credential: string | Handshake, query?: Record<string, string>): Promise<{ status: number; code: string; param: string | null }>
}
export type Handshake = { headers?: Record<string, string>; protocols?: string[]; query?: Record<string, string> }

export async function openEventWorld(limits: Partial<Limits> = {}, kept: Partial<EventLimits> = {}, redis?: { url: string; prefix: string }): Promise<EventWorld> {
  const world = await createWorld({ config: { ...TEST_CONFIG, events: { settleMs: 20, ...limits } } }, redis, kept)
  await world.deps.events.ready(5_000)
  const url = await world.app.listen({ host: '127.0.0.1', port: 0 })
  const dial = (credential: string | Handshake, query: Record<string, string> = {}): WebSocket => {
    const { headers, protocols, query: more } = typeof credential === 'string' ? { headers: { authorization: `Bearer ${credential}` } } : credential
    const address = `${url.replace('http', 'ws')}/v1/events?${new URLSearchParams({ ...query, ...more }).toString()}`
    return new WebSocket(address, protocols ?? [], { headers: headers ?? {} })
  }
  return {
    ...world,
    url,
    tenant: await world.newTenant('Harbour Bikes'),
    say: (tenant, text, options = {}) => world.deps.events.publish(tenant.id, [saying(text, { projectId: tenant.projectId, ...options })]),
    held: async () => Number(/^trunkline_event_sockets (\d+)$/m.exec(await world.deps.metrics.metrics())?.[1]),
    told: () => world.deps.events.idle(),
    async listen(credential, query) {
      const client = new Client(dial(credential, query))
      await Promise.race([client.frame('ready'), client.closed.then((code) => Promise.reject(new Error(`closed with ${code}`)))])
      return client
    },
    async refusal(credential, query) {
      const socket = dial(credential, query)
      socket.on('error', () => {})
      const [, response] = (await once(socket, 'unexpected-response')) as [unknown, IncomingMessage]
      const closed = once(response.socket, 'close')
      const chunks: Buffer[] = []
      for await (const chunk of response) chunks.push(chunk as Buffer)
      await closed
      const { error } = JSON.parse(Buffer.concat(chunks).toString()) as { error: { code: string; param: string | null } }
      return { status: response.statusCode!, code: error.code, param: error.param }
    },
  }
}

export function saying(text: string, { projectId, conversationId }: { projectId: string; conversationId?: string }): NewEvent {
  const data = { call_id: newId(), number_id: newId(), conversation_id: conversationId ?? null, utterance_id: newId(), by: 'customer', text, start_ms: 0, end_ms: 10, interrupted: false, is_final: true } as const
  return { type: 'call.transcript', projectId, data }
}

/** A listener's end of a socket. */
export class Client extends FrameClient<Heard> {
  /** What is news, and not the socket's own talk. */
  get events(): Heard[] {
    return this.frames.filter(({ type }) => type.includes('.'))
  }

  get texts(): (string | undefined)[] {
    return this.events.map(({ type, data }) => data.text ?? type)
  }

  /** The place to go on after. */
  get lastId(): string {
    return this.frames.flatMap(({ id, last_event_id }) => id ?? last_event_id ?? []).at(-1)!
  }

  /** Resolves when so many events have come. */
  heard(count: number): Promise<void> {
    return this.until(() => this.events.length >= count)
  }
}
