import { telnyx, telnyxTexml } from '../telnyx/index.ts'
import { twilio } from '../twilio/index.ts'
import type { Carrier, CarrierConfig } from './contract.ts'
import type { CarrierId } from './events.ts'

/** One command to a carrier: callers wait while it lasts. */
export const CARRIER_TIMEOUT_MS = 8_000

/** What a carrier did without saying so is heard of in that time: the other phone rings, and that is told by itself. */
export const NEWS_WITHIN_MS = 1_500

/** All carriers. Adding one is a folder and a line here. */
export const carriers: Record<CarrierId, Carrier> = { twilio, telnyx }

/** As a number uses it: what a call can do may depend on its settings (Telnyx by command, or by TeXML). */
export const carrierOf = (id: CarrierId, { settings }: Pick<CarrierConfig, 'settings'>): Carrier => (id === 'telnyx' && settings['mode'] === 'texml' ? telnyxTexml : carriers[id])
export { telnyx, twilio }
export type * from './contract.ts'
export { CallEvent, CarrierCallId, CarrierId, EndCause, TransferOutcome } from './events.ts'
export { CallAddress, CallInstruction, CallInstructions, DtmfDigits, StreamUrl, type CallInstructionInput } from './instructions.ts'
export type { BadFrameReason, MediaEvent, MediaFormat, MediaFrame, MediaStart, MediaTrack, MediaWire } from './media.ts'
export { NumberRouting, NumberSearch, PlaceCall, Transfer, type NumberSearchInput, type PlaceCallInput, type TransferInput } from './requests.ts'
export { isMediaToken, mediaPath, mediaToken, parseMediaPath, type MediaAddress } from './media-token.ts'
export { isUndone } from './policy.ts'
export { socketUrl, stepUrl, streamCall, type VoiceAddresses, type VoiceStep } from './addresses.ts'
