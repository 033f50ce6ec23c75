import type { ZodType } from 'zod'
import type { ErrorCode, NumberConfig, RawWebhook } from '@trunkline/core'
import type { CallEvent, CarrierId } from './events.ts'
import type { CallInstructionInput } from './instructions.ts'
import type { MediaWire } from './media.ts'
import type { NumberRouting, NumberSearchInput, PlaceCallInput, TransferInput } from './requests.ts'

/** A telephony supplier: its webhooks and commands, its REST interface, its media socket. Not a message channel: a call is a live thing with sound. */

/** Secrets and settings of one number, or of the account that it belongs to. Any `NumberConfig` will do. */
export type CarrierConfig = Pick<NumberConfig, 'credentials' | 'settings'>

/** The upgrade request of a media socket. Header names are lower case. */
export type SocketUpgrade = { headers: Record<string, string | undefined> }

/** One command of a carrier that is steered by requests (Telnyx Call Control). */
export type CarrierCommand = { action: string; body: Record<string, unknown> }

/**
 * What we answer to "there is a call". `document` is the webhook's answer, null where the carrier only wants to hear 200; `commands` go
 * to `perform`. What cannot be done at once comes back later as a `call.next` event.
 */
export type Answer = { document: { contentType: string; body: string } | null; commands: CarrierCommand[] }

/** `key`: of the event or wish that is answered. A command given twice under one key is carried out once, where the carrier sees to it (Telnyx). */
export type CommandContext = { key: string; /** The call's own (`CallEvent.reference`): told on, so that it is not lost. */ reference?: string }

export type AnswerContext = CommandContext & {
  carrierCallId: string
  /** False while the phone still rings: some carriers must be told to answer first. */
  answered: boolean
}

/** `unknown`: the request left and no answer came, so the phone may be ringing. Never blindly tried again: events or `find` tell. */
export type PlaceOutcome =
  | { status: 'accepted'; carrierCallId: string }
  | { status: 'rejected'; code: ErrorCode; message: string; /** Of what we asked for: `to`, `from`. */ param?: string; carrierCode: string; retryAfterMs?: number }
  | { status: 'unknown'; reason: string }

export type CallState = { carrierCallId: string; isAlive: boolean; /** The carrier's word. */ status: string; durationSeconds: number | null }

export type AvailableNumber = { number: string; region: string | null; locality: string | null; features: string[] }
export type OwnedNumber = { carrierNumberId: string; number: string }

/**
 * The only I/O. Everything but `place` throws AppError: `invalid_credentials`, `invalid_request` (names the field), `not_found`,
 * `invalid_state` (the call is over, or not that far), `rate_limited`, `upstream_rejected`, `upstream_failed`, `upstream_timeout` (it may have been carried out).
 * A carrier's own text never reaches an error: it can hold a phone number.
 */
export type CarrierClient = {
  /** Never throws. */
  place(config: CarrierConfig, call: PlaceCallInput, signal: AbortSignal): Promise<PlaceOutcome>
  /** Commands of an `Answer`, in order. */
  perform(config: CarrierConfig, carrierCallId: string, commands: readonly CarrierCommand[], signal: AbortSignal): Promise<void>
  /** A running call drops what it does and does this. Twilio: a media stream ends. */
  redirect(config: CarrierConfig, carrierCallId: string, instructions: CallInstructionInput[], context: CommandContext, signal: AbortSignal): Promise<void>
  /** Idempotent: a call that is over already is no error. */
  hangUp(config: CarrierConfig, carrierCallId: string, signal: AbortSignal): Promise<'ended' | 'already_over'>
  /**
   * Cold: the caller hears ringing, and we are out of the call. The outcome comes as `call.transfer`. Without an answer the carrier is asked
   * whether it was done, and nobody is called twice: it returns when it was. It throws with `details.carried_out` false when it certainly was
   * not; null, or none, when nobody can tell: what the call is told next counts then.
   */
  transfer(config: CarrierConfig, carrierCallId: string, transfer: TransferInput, context: CommandContext, signal: AbortSignal): Promise<void>
  /** Warm: the second leg was placed with `place` and briefed; now both hear each other and we are out. Throws as `transfer` does. */
  bridge(config: CarrierConfig, carrierCallId: string, otherCallId: string, context: CommandContext, signal: AbortSignal): Promise<void>
  /** `then`: what goes on afterwards, for carriers that drop what they do in order to press (Twilio, TeXML). Always give it. */
  sendDtmf(config: CarrierConfig, carrierCallId: string, digits: string, then: CallInstructionInput[], context: CommandContext, signal: AbortSignal): Promise<void>
  /** Null: the carrier knows no such call, or no longer. */
  find(config: CarrierConfig, carrierCallId: string, signal: AbortSignal): Promise<CallState | null>
  searchNumbers(config: CarrierConfig, search: NumberSearchInput, signal: AbortSignal): Promise<AvailableNumber[]>
  /** Costs money. When no answer came it looks for the number among ours before it gives up. */
  buyNumber(config: CarrierConfig, number: string, routing: NumberRouting, signal: AbortSignal): Promise<OwnedNumber>
  findNumber(config: CarrierConfig, number: string, signal: AbortSignal): Promise<OwnedNumber | null>
  assignNumber(config: CarrierConfig, carrierNumberId: string, routing: NumberRouting, signal: AbortSignal): Promise<void>
  releaseNumber(config: CarrierConfig, carrierNumberId: string, signal: AbortSignal): Promise<void>
  /** Throws `invalid_credentials` naming the field. */
  check(config: CarrierConfig, signal: AbortSignal): Promise<void>
  /** Lets go of idle connections. */
  close(): Promise<void>
}

/** `baseUrl` null: the carrier's own hosts. */
export type CarrierClientDeps = { baseUrl: string | null; timeoutMs: number }

/** What differs and shows. */
export type CarrierAbilities = {
  /** Media frames may come out of order: sort by `chunk`. */
  unorderedMedia: boolean
  /** `sendDtmf` ends a running media stream (and TeXML's does). */
  dtmfInterrupts: boolean
  /** When our media socket closes the call goes on with the next instruction (else the stream is merely over). */
  socketEndsStep: boolean
  /** The upgrade of a media socket is signed like a webhook; else the token in its path has to do. */
  signsSockets: boolean
}

export type Carrier = {
  id: CarrierId
  can: CarrierAbilities
  credentials: ZodType<Record<string, unknown>>
  settings: ZodType<Record<string, unknown>>
  /** Constant time, over the raw bytes; false when anything is missing. `url` is the address as the carrier knows it, with its query. */
  verify(raw: RawWebhook, config: CarrierConfig, url: string, nowMs?: number): boolean
  /** The same for the upgrade of a media socket (`wss:` address). `authToken` is what `stream` asked to be sent; a token in the path is the app's to check. */
  verifySocket(upgrade: SocketUpgrade, config: CarrierConfig, url: string, authToken?: string): boolean
  /** What was posted, parsed, for `normaliseCall`; undefined when it is neither a form nor JSON. */
  readBody(raw: RawWebhook): unknown
  /** Pure. Throws AppError `invalid_request` for a body that is not the carrier's. */
  normaliseCall(body: unknown, nowMs: number): CallEvent[]
  /** Pure. Throws AppError `invalid_request` for an instruction that this carrier cannot carry out. */
  answer(instructions: readonly CallInstructionInput[], context: AnswerContext, config: CarrierConfig): Answer
  /** One per media socket. */
  mediaWire(config: CarrierConfig): MediaWire
  client(deps: CarrierClientDeps): CarrierClient
}
