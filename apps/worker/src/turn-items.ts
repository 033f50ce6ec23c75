import { newId, type Id, type InboundContent, type InboundMessage, type MediaRef } from '@trunkline/core'
import { sealJson, type Keyring, type TurnItem } from '@trunkline/db'

type QueuedItem = { seq: number; messageId: Id; receivedAtMs: number; message: InboundMessage }

/** What waits in the inbox becomes what is stored: the content sealed alone, the rest beside it. */
export function turnItem(item: QueuedItem, keyring: Keyring, tenantId: Id): TurnItem {
  const { message } = item
  const details = detailsOf(message)
  const { content, media, uploadId } = withMediaId(message.content)
  return {
    messageId: item.messageId,
    seq: item.seq,
    providerMessageId: message.providerMessageId,
    kind: content.kind,
    contentSealed: sealJson(keyring, content, tenantId),
    ...(media ? { media } : {}),
    ...(uploadId ? { uploadId } : {}),
    ...(message.replyTo === undefined ? {} : { replyTo: message.replyTo }),
    ...(details === undefined ? {} : { details }),
    providerAtMs: message.atMs,
    receivedAtMs: item.receivedAtMs,
  }
}

/** A file gets the id of its own row here, so that the message names it before it is downloaded; an upload has one. */
function withMediaId(content: InboundContent): { content: InboundContent; media?: MediaRef & { mediaId: Id }; uploadId?: Id } {
  if (!('media' in content)) return { content }
  if (content.media.mediaId !== undefined) return { content, uploadId: content.media.mediaId }
  const media = { ...content.media, mediaId: newId() }
  return { content: { ...content, media }, media }
}

function detailsOf(message: InboundMessage): Record<string, unknown> | undefined {
  const details = {
    ...(message.referral ? { referral: message.referral } : {}),
    ...(message.forwarded ? { forwarded: true } : {}),
    ...(message.providerData ? { provider_data: message.providerData } : {}),
  }
  return Object.keys(details).length === 0 ? undefined : details
}
