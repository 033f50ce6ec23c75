import type { Carrier } from '../carriers/contract.ts'
import { client } from './client.ts'
import { normaliseCall, readBody } from './inbound.ts'
import { mediaWire } from './media.ts'
import { answer } from './outbound.ts'
import { verify, verifySocket } from './signature.ts'
import { Credentials, Settings } from './wire.ts'

export const twilio: Carrier = {
  id: 'twilio',
  can: { unorderedMedia: false, dtmfInterrupts: true, socketEndsStep: true, signsSockets: true },
  credentials: Credentials,
  settings: Settings,
  verify,
  verifySocket,
  readBody,
  normaliseCall,
  answer,
  mediaWire,
  client,
}
