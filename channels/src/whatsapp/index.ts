import type { Capabilities, Channel } from '@trunkline/core'
import { metaDoor, MetaCredentials } from '../meta.ts'
import { client } from './client.ts'
import { normalise } from './inbound.ts'
import { MEDIA, render } from './outbound.ts'
import { LIMITS, Settings } from './wire.ts'

/** WhatsApp Cloud API (Graph). A number's address is its `phone_number_id`. */

const can: Capabilities = {
  textMax: LIMITS.text,
  textUnit: 'characters',
  captionMax: LIMITS.caption,
  buttonsMax: LIMITS.buttons,
  buttonTitleMax: LIMITS.buttonTitle,
  listRowsMax: LIMITS.listRows,
  native: new Set(['text', 'image', 'video', 'document', 'sticker', 'audio', 'location', 'contacts', 'buttons', 'list', 'link', 'cards', 'template'] as const),
  mediaBytesMax: {
    image: MEDIA.image.bytesMax,
    audio: MEDIA.audio.bytesMax,
    video: MEDIA.video.bytesMax,
    document: MEDIA.document.bytesMax,
    sticker: MEDIA.sticker.bytesMax,
  },
  windowMs: 24 * 60 * 60 * 1000,
  templates: true,
  typing: true,
  reactions: true,
  reconciles: 'callback_data',
}

export const whatsapp: Channel = {
  id: 'whatsapp',
  can,
  credentials: MetaCredentials,
  settings: Settings,
  ...metaDoor,
  normalise,
  render,
  client,
}
