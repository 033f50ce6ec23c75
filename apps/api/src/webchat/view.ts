import { createHmac, timingSafeEqual } from 'node:crypto'
import { Id, MessageContent, type MediaRef } from '@trunkline/core'
import { openJson, type webchat } from '@trunkline/db'
import { z } from 'zod'
import type { ApiDeps } from '../deps.ts'
import { contentToWire } from '../routes/wire-schema.ts'
import { Time } from '../wire.ts'
import { Position } from './protocol.ts'

/** One message as a visitor sees it, on the socket and in REST answers. */
export const MessageView = z
  .object({
    seq: Position.meta({ description: 'Its place in the visitor\'s line: rises, not always by one' }),
    id: Id,
    client_message_id: z.string().optional().meta({ description: 'On the visitor\'s own messages' }),
    author: z.enum(['visitor', 'agent', 'human', 'system']),
    content: z.record(z.string(), z.unknown()).meta({ examples: [{ kind: 'text', text: 'We open at nine.' }] }),
    at: Time,
    status: z.enum(['received', 'sent']),
  })
  .meta({ id: 'VisitorMessage' })
export type MessageView = z.infer<typeof MessageView>

type ViewDeps = Pick<ApiDeps, 'keyring' | 'clock' | 'config'>

export function messageView(deps: ViewDeps, visitor: webchat.Visitor, row: webchat.StreamRow): MessageView {
  const own = row.author === 'customer'
  const content = MessageContent.parse(openJson(deps.keyring, row.contentSealed, visitor.tenantId))
  const shown = 'media' in content ? { ...content, media: mediaView(deps, visitor, content.media) } : content
  const clientMessageId = own ? clientIdOf(row.providerMessageId, visitor.visitorId) : undefined
  return {
    seq: row.position,
    id: row.id,
    ...(clientMessageId === undefined ? {} : { client_message_id: clientMessageId }),
    author: row.author === 'customer' ? 'visitor' : row.author,
    content: contentToWire(shown),
    at: row.createdAt.toISOString(),
    status: own ? 'received' : 'sent',
  }
}

/** The channel makes `web:<visitor>:<client id>` of a visitor's id. */
function clientIdOf(providerMessageId: string | null, visitorId: string): string | undefined {
  const prefix = `web:${visitorId}:`
  return providerMessageId?.startsWith(prefix) ? providerMessageId.slice(prefix.length) : undefined
}

function mediaView(deps: ViewDeps, visitor: webchat.Visitor, media: MediaRef): Record<string, unknown> {
  const { mediaId, mimeType, filename, sizeBytes, url } = media
  const address = mediaId === undefined ? url : fileLink(deps, visitor, mediaId)
  return { ...(address && { url: address }), ...(mediaId && { mediaId }), ...(mimeType && { mimeType }), ...(filename && { filename }), ...(sizeBytes !== undefined && { sizeBytes }) }
}

// ── Links to files ───────────────────────────────────────────────────────────────────────────────────────────────────
// An <img> sends no token, so the address itself is the proof: it was only ever shown in this visitor's own conversation.

const DAY_MS = 24 * 3_600_000

const sign = (deps: Pick<ViewDeps, 'keyring'>, visitor: Pick<webchat.Visitor, 'numberId' | 'visitorId'>, mediaId: Id, expires: string): Buffer =>
  createHmac('sha256', deps.keyring.derive('webchat file link')).update(`${visitor.numberId}/${visitor.visitorId}/${mediaId}/${expires}`).digest()

/** Good for one to two days; the same address all day, so that a browser's cache knows it. */
export function fileLink(deps: ViewDeps, visitor: webchat.Visitor, mediaId: Id): string {
  const expires = ((Math.floor(deps.clock.nowMs() / DAY_MS) + 2) * DAY_MS).toString(36)
  const query = new URLSearchParams({ visitor: visitor.visitorId, expires, signature: sign(deps, visitor, mediaId, expires).toString('base64url') })
  return `${deps.config.publicUrl}/v1/webchat/${visitor.numberId}/media/${mediaId}?${query.toString()}`
}

export type FileProof = { visitor: string; expires: string; signature: string }

export function isFileLink(deps: Pick<ViewDeps, 'keyring' | 'clock'>, numberId: Id, mediaId: Id, proof: FileProof): boolean {
  const given = Buffer.from(proof.signature, 'base64url')
  const expected = sign(deps, { numberId, visitorId: proof.visitor }, mediaId, proof.expires)
  return given.length === expected.length && timingSafeEqual(given, expected) && Number.parseInt(proof.expires, 36) > deps.clock.nowMs()
}
