import { AppError, type ChannelId, type Micros, type VendorId } from '@trunkline/core'

/** Micro-credits for one million tokens. `inputTokens` of a call include the cached ones; those are charged at their own price. */
export type TokenPrice = { inputMicros: Micros; cachedInputMicros: Micros; outputMicros: Micros }

/** `model` is the beginning of the supplier's model name (dated snapshots cost what their family costs); '' is the vendor's default. */
export type ModelPrice = TokenPrice & { vendor: Exclude<VendorId, 'rules'>; model: string }

export type ChannelFee = { /** A free-form message the channel accepted. */ messageMicros: Micros; templateMicros: Micros }

/**
 * What things cost from one moment until the next card begins. A turn is estimated and rated with the card of the moment it
 * began, so that a price change never falls between a hold and its settlement. One credit is one US dollar.
 */
export type RateCard = {
  name: string
  /** Unix time, milliseconds. */
  validFromMs: number
  models: readonly ModelPrice[]
  channels: Readonly<Record<ChannelId, ChannelFee>>
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

const OWN_CHANNELS: Pick<RateCard['channels'], 'instagram' | 'webchat'> = {
  instagram: { messageMicros: 0n, templateMicros: 0n },
  webchat: { messageMicros: 0n, templateMicros: 0n },
}
const FEES = { rulesAnswerMicros: 500n, leadMicros: 2_000n }

/** In force one after the other, oldest first. A published card is never edited: a new price is a new card. */
export const RATE_CARDS: readonly RateCard[] = [
  { name: '2026-01', validFromMs: Date.UTC(2026, 0, 1), models: MODELS, channels: { whatsapp: { messageMicros: 0n, templateMicros: 5_000n }, ...OWN_CHANNELS }, ...FEES },
  // Since 1 October 2026 WhatsApp bills free-form answers inside the 24-hour window per message, at the market's utility rate
  // (announced 1 July 2026). Rates differ by country; this is one price for all.
  { name: '2026-10', validFromMs: Date.UTC(2026, 9, 1), models: MODELS, channels: { whatsapp: { messageMicros: 5_000n, templateMicros: 5_000n }, ...OWN_CHANNELS }, ...FEES },
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
