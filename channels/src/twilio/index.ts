import type { Carrier } from '../carriers/contract.ts'
import { readPosted } from '../carriers/form.ts'
import { client } from './client.ts'
import { normaliseCall } from './inbound.ts'
import { mediaWire } from './media.ts'
import { answer } from './outbound.ts'
import { verify, verifySocket } from './signature.ts'
import { Credentials, Settings } from './wire.ts'

export const twilio: Carrier = {
  id: 'twilio',
  can: { unorderedMedia: false, dtmfInterrupts: true, socketEndsStep: true },
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
