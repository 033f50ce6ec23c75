import type { MediaLives } from './meta/media.ts'
import type { InstagramAccount, WhatsAppNumber } from './meta/registry.ts'
import type { RetryPolicy } from './meta/webhook-sender.ts'
import type { JournalOptions } from './journal/journal.ts'
import type { Pace } from './models/pace.ts'
import type { SpeechPace } from './speech/world.ts'
import type { z } from 'zod'

export type NumberInput = z.input<typeof WhatsAppNumber>
export type AccountInput = z.input<typeof InstagramAccount>

export type SandboxOptions = {
  /** Default 127.0.0.1; a container needs 0.0.0.0. */
  host?: string
  /** 0 (default) takes a free port. */
  port?: number
  /** SMTP; 0 (default) takes a free port. */
  mailPort?: number
  /** How others reach this sandbox, when it is not `http://host:port` (used in media addresses). */
  publicUrl?: string
  pace?: Partial<Pace>
  speechPace?: Partial<SpeechPace>
  journal?: Partial<JournalOptions>
  /** Meta's webhook patience, in pressed time. */
  retry?: Partial<RetryPolicy>
  media?: Partial<MediaLives>
  numbers?: NumberInput[]
  accounts?: AccountInput[]
}

const DAY_MS = 86_400_000

export const defaults = {
  pace: { firstTokenMs: 20, perTokenMs: 0, tokensPerDelta: 4 } satisfies Pace,
  journal: { capacity: 200_000, bodies: 5_000 } satisfies JournalOptions,
  retry: { timeoutMs: 10_000, firstMs: 250, factor: 2, maxMs: 30_000, attempts: 14 } satisfies RetryPolicy,
  media: { uploadMs: 30 * DAY_MS, inboundMs: 7 * DAY_MS, urlMs: 300_000 } satisfies MediaLives,
}
