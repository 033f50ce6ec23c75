import type { Capabilities, Channel } from '@trunkline/core'
import { client } from './client.ts'
import { normalise } from './inbound.ts'
import { render } from './outbound.ts'
import { Credentials, LIMITS, Settings } from './wire.ts'

/** Web chat: our own widget. A number's address is its own id. It has no webhook: both doors of one stay shut. */

const FILE_BYTES_MAX = 25 * 1024 * 1024

const can: Capabilities = {
  textMax: LIMITS.text,
  textUnit: 'characters',
  captionMax: 4096,
  buttonsMax: 25,
  buttonTitleMax: 255,
  listRowsMax: 100,
  native: new Set(['text', 'image', 'video', 'document', 'sticker', 'audio', 'location', 'contacts', 'buttons', 'list', 'link', 'cards'] as const),
  mediaBytesMax: { image: FILE_BYTES_MAX, audio: FILE_BYTES_MAX, video: FILE_BYTES_MAX, document: FILE_BYTES_MAX, sticker: FILE_BYTES_MAX },
  windowMs: null,
  templates: false,
  typing: true,
  reactions: true,
  reconciles: 'local',
}

export const webchat: Channel = {
  id: 'webchat',
  can,
  credentials: Credentials,
  settings: Settings,
  challenge: () => null,
  verify: () => false,
  normalise,
  render,
  client,
}
