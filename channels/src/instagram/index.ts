import type { Capabilities, Channel } from '@trunkline/core'
import { metaDoor, MetaCredentials } from '../meta.ts'
import { client } from './client.ts'
import { normalise } from './inbound.ts'
import { MEDIA, render } from './outbound.ts'
import { LIMITS, Settings } from './wire.ts'

/** Instagram messaging (Graph). A number's address is the professional account's id. */

const can: Capabilities = {
  textMax: LIMITS.textBytes,
  textUnit: 'utf8_bytes',
  captionMax: 0,
  buttonsMax: LIMITS.quickReplies,
  buttonTitleMax: LIMITS.title,
  listRowsMax: 0,
  native: new Set(['text', 'image', 'video', 'document', 'audio', 'buttons', 'link', 'cards'] as const),
  mediaBytesMax: {
    image: MEDIA.image.bytesMax,
    audio: MEDIA.audio.bytesMax,
    video: MEDIA.video.bytesMax,
    document: MEDIA.document.bytesMax,
    sticker: MEDIA.sticker.bytesMax,
  },
  windowMs: 24 * 60 * 60 * 1000,
  templates: false,
  typing: true,
  reactions: true,
  reconciles: 'echo',
}

export const instagram: Channel = {
  id: 'instagram',
  can,
  credentials: MetaCredentials,
  settings: Settings,
  ...metaDoor,
  normalise,
  render,
  client,
}
