import { Id } from '@trunkline/core'
import { messages, openJson, type Keyring } from '@trunkline/db'
import { z } from 'zod'
import type { Auth } from '../auth.ts'
import { OpaqueJson, Time, toWire } from '../wire.ts'
import { contentToWire } from './wire-schema.ts'

/** A message's content on the wire, as it was stored; suppliers send more kinds than we have today. */
export const ContentView = z.record(z.string(), z.unknown()).meta({ description: 'By `kind`: text, image, location, buttons, …', examples: [{ kind: 'text', text: 'When do you open?' }] })

const Degradation = z.object({ from: z.string(), to: z.string(), reason: z.string() })
const Retry = z.object({ by: z.string(), at: z.string(), was: z.string(), reason: z.string().nullable(), attempts: z.array(OpaqueJson) })

export const MessageView = z
  .object({
    id: Id,
    conversation_id: Id,
    number_id: Id,
    channel: z.string(),
    contact_id: Id,
    turn_id: Id.nullable(),
    agent_id: Id.nullable(),
    prompt_id: Id.nullable(),
    prompt_version: z.number().int().nullable(),
    seq: z.number().int(),
    direction: z.enum(['inbound', 'outbound']),
    author: z.enum(['customer', 'agent', 'human', 'system']),
    author_user_id: Id.nullable(),
    kind: z.string(),
    content: ContentView.nullable().meta({ description: 'Null for callers without messages:read' }),
    provider_message_id: z.string().nullable(),
    reply_to: z.string().nullable(),
    status: z.string().meta({ description: 'inbound: received, answered, parked, rejected, failed. outbound: queued, sending, sent, delivered, read, played, failed, unknown, parked, discarded.' }),
    reason: z.string().nullable(),
    degradations: z.array(Degradation).meta({ description: 'What the channel could not show as it was meant' }),
    retries: z.array(Retry).meta({ description: 'Attempts that people asked for, with what had happened before each' }),
    provider_at: Time.nullable(),
    created_at: Time,
  })
  .meta({ id: 'Message' })

export const mayRead = (auth: Pick<Auth, 'scopes'>): boolean => auth.scopes.has('messages:read')

/** Opens the content for those who may read it. */
export function messageView(keyring: Keyring, auth: Pick<Auth, 'scopes'>, message: messages.Message): z.infer<typeof MessageView> {
  const { tenantId, projectId: _project, contentSealed, details, ...row } = message
  const content = mayRead(auth) ? contentToWire(openJson(keyring, contentSealed, tenantId) as Record<string, unknown>) : null
  const degradations = (details?.['degradations'] as z.infer<typeof Degradation>[] | undefined) ?? []
  const retries = messages.retriesOf(message).map((retry) => ({ ...retry, attempts: retry.attempts.map((attempt) => toWire(attempt) as Record<string, unknown>) }))
  return { ...toWire(row), content, degradations, retries }
}
