import { AppError, type CallDirection, type CarrierId, type MessageChannelId, type Micros, type VendorId } from '@trunkline/core'

/** Micro-credits for one million tokens. `inputTokens` of a call include the cached ones; those are charged at their own price. */
export type TokenPrice = { inputMicros: Micros; cachedInputMicros: Micros; outputMicros: Micros }

/** `model` is the beginning of the supplier's model name (dated snapshots cost what their family costs); '' is the vendor's default. */
export type ModelPrice = TokenPrice & { vendor: Exclude<VendorId, 'rules'>; model: string }

export type ChannelFee = { /** A free-form message the channel accepted. */ messageMicros: Micros; templateMicros: Micros }

/** `model` is the beginning of the engine's model name; '' is the engine's default. Recognition is priced by the minute heard, a voice by a million characters spoken. */
export type SpeechPrice = { kind: 'stt' | 'tts'; engine: string; model: string; unitMicros: Micros }

export type CallPrices = {
  /** Carrying one minute of a call, charged by the second. The carrier's own bill goes to whoever's credentials the number has. */
  minuteMicros: Readonly<Record<CarrierId, Readonly<Record<CallDirection, Micros>>>>
  speech: readonly SpeechPrice[]
}

/**
 * What things cost from one moment until the next card begins. A turn is estimated and rated with the card of the moment it
 * began, so that a price change never falls between a hold and its settlement. One credit is one US dollar.
 */
export type RateCard = {
  name: string
  /** Unix time, milliseconds. */
  validFromMs: number
  models: readonly ModelPrice[]
  channels: Readonly<Record<MessageChannelId, ChannelFee>>
  /** What a call costs beside its model. */
  calls: CallPrices
  /** One answer of the rule-based responder. */
  rulesAnswerMicros: Micros
  /** One lead extraction, on top of its tokens. */
  leadMicros: Micros
}

const price = (vendor: ModelPrice['vendor'], model: string, inputMicros: Micros, cachedInputMicros: Micros, outputMicros: Micros): ModelPrice =>
  ({ vendor, model, inputMicros, cachedInputMicros, outputMicros })

// Suppliers' list prices per million tokens, as the public price tables of June 2026 give them. The default of a vendor is its
// dearest common family: an unknown model must never be sold below cost.
const MODELS: readonly ModelPrice[] = [
  price('openai', 'gpt-5.4-nano', 200_000n, 20_000n, 1_250_000n),
  price('openai', 'gpt-5.4-mini', 750_000n, 75_000n, 4_500_000n),
  price('openai', 'gpt-5.4', 2_500_000n, 250_000n, 15_000_000n),
  price('openai', 'gpt-5.5', 5_000_000n, 500_000n, 30_000_000n),
  price('openai', 'gpt-5.4-pro', 30_000_000n, 30_000_000n, 180_000_000n),
  price('openai', 'gpt-5.5-pro', 30_000_000n, 30_000_000n, 180_000_000n),
  price('openai', '', 5_000_000n, 500_000n, 30_000_000n),
  price('anthropic', 'claude-haiku', 1_000_000n, 100_000n, 5_000_000n),
  price('anthropic', 'claude-sonnet', 3_000_000n, 300_000n, 15_000_000n),
  price('anthropic', '', 15_000_000n, 1_500_000n, 75_000_000n),
  price('groq', '', 600_000n, 600_000n, 800_000n),
  // The tenant's own server: we only carry the traffic.
  price('compatible', '', 0n, 0n, 0n),
]

const speech = (kind: SpeechPrice['kind'], engine: string, model: string, unitMicros: Micros): SpeechPrice => ({ kind, engine, model, unitMicros })

// Suppliers' public list prices of 2026, pay as you go, streaming where it has a price of its own. Engines on our own machines cost what
// carrying the call costs. An engine's default is its dearest common model; an engine without a row is refused a price (`speechPriceOf`).
const SPEECH: readonly SpeechPrice[] = [
  speech('stt', 'deepgram', '', 9_200n),
  speech('stt', 'deepgram', 'nova-3', 7_700n),
  speech('stt', 'deepgram', 'nova-2', 5_800n),
  speech('stt', 'openai', '', 6_000n),
  speech('stt', 'openai', 'gpt-4o-mini-transcribe', 3_000n),
  speech('stt', 'google', '', 16_000n),
  speech('stt', 'compatible', '', 0n),
  speech('stt', 'whisper', '', 0n),
  speech('tts', 'openai', '', 30_000_000n),
  speech('tts', 'openai', 'tts-1', 15_000_000n),
  speech('tts', 'openai', 'tts-1-hd', 30_000_000n),
  speech('tts', 'elevenlabs', '', 100_000_000n),
  speech('tts', 'elevenlabs', 'eleven_flash', 50_000_000n),
  speech('tts', 'elevenlabs', 'eleven_turbo', 50_000_000n),
  speech('tts', 'google', '', 30_000_000n),
  speech('tts', 'polly', '', 30_000_000n),
  speech('tts', 'polly', 'long-form', 100_000_000n),
  speech('tts', 'polly', 'neural', 16_000_000n),
  speech('tts', 'polly', 'standard', 4_000_000n),
  speech('tts', 'kokoro', '', 0n),
  speech('tts', 'piper', '', 0n),
  speech('tts', 'espeak', '', 0n),
  speech('tts', 'prerecorded', '', 0n),
]

const MINUTE = { inbound: 4_000n, outbound: 6_000n } as const
const CALLS: CallPrices = { minuteMicros: { twilio: MINUTE, telnyx: MINUTE }, speech: SPEECH }

const OWN_CHANNELS: Pick<RateCard['channels'], 'instagram' | 'webchat'> = {
  instagram: { messageMicros: 0n, templateMicros: 0n },
  webchat: { messageMicros: 0n, templateMicros: 0n },
}
const FEES = { rulesAnswerMicros: 500n, leadMicros: 2_000n }

/** In force one after the other, oldest first. A published card is never edited: a new price is a new card. */
export const RATE_CARDS: readonly RateCard[] = [
  { name: '2026-01', validFromMs: Date.UTC(2026, 0, 1), models: MODELS, channels: { whatsapp: { messageMicros: 0n, templateMicros: 5_000n }, ...OWN_CHANNELS }, calls: CALLS, ...FEES },
  // Since 1 October 2026 WhatsApp bills free-form answers inside the 24-hour window per message, at the market's utility rate
  // (announced 1 July 2026). Rates differ by country; this is one price for all.
  { name: '2026-10', validFromMs: Date.UTC(2026, 9, 1), models: MODELS, channels: { whatsapp: { messageMicros: 5_000n, templateMicros: 5_000n }, ...OWN_CHANNELS }, calls: CALLS, ...FEES },
]

/** The card in force at `atMs`. Throws AppError `internal` before the first card: nothing is ever given away by accident. */
export function cardAt(atMs: number, cards: readonly RateCard[] = RATE_CARDS): RateCard {
  const card = cards.findLast((candidate) => candidate.validFromMs <= atMs)
  if (card === undefined) throw new AppError('internal', { cause: new Error('no rate card is valid at this time') })
  return card
}

/** The price with the longest matching beginning of the model's name. */
export function priceOf(card: RateCard, vendor: ModelPrice['vendor'], model: string): TokenPrice {
  const fits = card.models.filter((row) => row.vendor === vendor && model.startsWith(row.model))
  const best = fits.toSorted((a, b) => b.model.length - a.model.length)[0]
  if (best === undefined) throw new AppError('internal', { cause: new Error(`rate card ${card.name} has no default for ${vendor}`) })
  return best
}

/** The price of an engine's model with the longest matching beginning. Throws AppError `internal` for an engine without a price: nothing is given away by accident. */
export function speechPriceOf(card: RateCard, kind: SpeechPrice['kind'], engine: string, model: string): Micros {
  const fits = card.calls.speech.filter((row) => row.kind === kind && row.engine === engine && model.startsWith(row.model))
  const best = fits.toSorted((a, b) => b.model.length - a.model.length)[0]
  if (best === undefined) throw new AppError('internal', { cause: new Error(`rate card ${card.name} has no price for the ${kind} engine ${engine}`) })
  return best.unitMicros
}
