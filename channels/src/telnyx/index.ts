import type { Carrier } from '../carriers/contract.ts'
import { readPosted } from '../carriers/form.ts'
import { client } from './client.ts'
import { normaliseCall } from './inbound.ts'
import { mediaWire } from './media.ts'
import { answer } from './outbound.ts'
import { verify, verifySocket } from './signature.ts'
import { Credentials, Settings } from './wire.ts'

export const telnyx: Carrier = {
  id: 'telnyx',
  can: { unorderedMedia: true, dtmfInterrupts: false, socketEndsStep: false, signsSockets: false },
  credentials: Credentials,
  settings: Settings,
  verify,
  verifySocket,
  readBody: readPosted,
  normaliseCall,
  answer,
  mediaWire,
  client,
}

/** The same company's calls by documents: they go on as Twilio's do. */
export const telnyxTexml: Carrier = { ...telnyx, can: { ...telnyx.can, dtmfInterrupts: true, socketEndsStep: true } }
