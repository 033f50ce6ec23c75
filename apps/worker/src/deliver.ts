import { setTimeout as delay } from 'node:timers/promises'
import { AppError, messageChannel, type Channel, type ChannelClient, type Id, type MessageChannelId, type RejectionPolicy, type RenderContext, type SendOutcome, type WireRequest } from '@trunkline/core'
import type { Bucket, Buckets, RoutedNumber, SendRecord } from '@trunkline/db'

/** Suppliers' published rates. WhatsApp: 80 messages a second per number, one per 6 s per customer with a burst of 45; Instagram 300/s for text. */
const RATES = {
  whatsapp: { perSecond: 80, burst: 80, pair: { perSecond: 1 / 6, burst: 45 } },
  instagram: { perSecond: 300, burst: 300, pair: null },
  webchat: { perSecond: 1_000, burst: 1_000, pair: null },
} as const

const SHRINK_MS = 60_000
/** A wait shorter than this is slept through; a longer one gives the place in memory back. */
const WAIT_INLINE_MS = 2_000
const ATTEMPTS_MAX = 5

/** What the outbox keeps: the request as it leaves, the address its rate is counted by, and whom it is for when it has to be rendered anew. */
export type StoredRequest = { request: WireRequest; to: string; identity?: RenderContext['to'] }
export type Delivery = StoredRequest & { outboxId: Id; attempt: number }
export type DeliveryResult = { record: SendRecord; retryAfterMs?: number; stopNumber?: RejectionPolicy }

export type DeliverDeps = { clients: Record<MessageChannelId, ChannelClient>; channels: Record<MessageChannelId, Channel>; buckets: Buckets; sendTimeoutMs: number; random?: () => number }

/** Waits for the number's and the pair's bucket. Milliseconds left to wait when that is too long to sleep here. */
export async function awaitRate(deps: DeliverDeps, number: RoutedNumber, to: string, signal: AbortSignal): Promise<number> {
  const rate = RATES[messageChannel(number.channel)]
  const buckets: Bucket[] = [{ key: `n:${number.id}`, perSecond: rate.perSecond, burst: rate.burst }]
  if (rate.pair) buckets.push({ key: `p:${number.id}:${to}`, ...rate.pair })
  for (;;) {
    const waitMs = await deps.buckets.take(buckets)
    if (waitMs === 0) return 0
    if (waitMs > WAIT_INLINE_MS) return waitMs
    await delay(waitMs, undefined, { signal })
  }
}

/** One HTTP call and what it means for the outbox row. The row is `sending` already. */
export async function deliver(deps: DeliverDeps, number: RoutedNumber, delivery: Delivery, signal: AbortSignal): Promise<DeliveryResult> {
  const outcome = await callWithFallback(deps, number, delivery, signal)
  if (outcome.status === 'accepted') return { record: { outboxId: delivery.outboxId, state: 'accepted', providerMessageId: outcome.providerMessageId } }
  if (outcome.status === 'unknown') return { record: { outboxId: delivery.outboxId, state: 'unknown', errorMessage: outcome.reason } }
  return rejected(deps, number, delivery, outcome)
}

/** A file that the supplier refuses goes as its link in plain text: the refusal is certain, so nothing is shown twice. */
async function callWithFallback(deps: DeliverDeps, number: RoutedNumber, delivery: Delivery, signal: AbortSignal): Promise<SendOutcome> {
  const outcome = await callSupplier(deps, number, delivery, signal)
  const refused = outcome.status === 'rejected' && outcome.policy === 'media_fault' && delivery.request.kind !== 'text'
  const link = linkIn(delivery.request.body)
  if (!refused || delivery.identity === undefined || link === null) return outcome
  const [request] = deps.channels[messageChannel(number.channel)].render({ kind: 'text', text: `${delivery.request.text}\n${link}` }, { to: delivery.identity }).requests
  return request ? callSupplier(deps, number, { ...delivery, request }, signal) : outcome
}

/** Where the refused file lies: Graph calls it `link` (WhatsApp) or `url` (Instagram). */
function linkIn(value: unknown): string | null {
  if (typeof value !== 'object' || value === null) return null
  for (const [key, child] of Object.entries(value)) {
    if ((key === 'link' || key === 'url') && typeof child === 'string') return child
    const deeper = linkIn(child)
    if (deeper !== null) return deeper
  }
  return null
}

/** A client never throws for an answer; whatever else it throws may have happened after the request left. */
async function callSupplier(deps: DeliverDeps, number: RoutedNumber, delivery: Delivery, signal: AbortSignal): Promise<SendOutcome> {
  const deadline = AbortSignal.any([signal, AbortSignal.timeout(deps.sendTimeoutMs)])
  try {
    return await deps.clients[messageChannel(number.channel)].send(configOf(number), delivery.request, { callbackData: delivery.outboxId, signal: deadline })
  } catch (error) {
    if (error instanceof AppError && !error.retry) return { status: 'rejected', policy: 'final', code: error.code, message: error.message }
    return { status: 'unknown', reason: 'client_failed' }
  }
}

export const configOf = (number: RoutedNumber) => ({ numberId: number.id, address: number.address, credentials: number.credentials, settings: number.settings })

type Rejected = Extract<SendOutcome, { status: 'rejected' }>

async function rejected(deps: DeliverDeps, number: RoutedNumber, delivery: Delivery, outcome: Rejected): Promise<DeliveryResult> {
  const base = { outboxId: delivery.outboxId, policy: outcome.policy, errorCode: outcome.code, errorMessage: outcome.message }
  switch (outcome.policy) {
    case 'retry':
    case 'pair_rate':
    case 'number_rate': {
      if (outcome.policy === 'number_rate') await deps.buckets.shrink(`n:${number.id}`, SHRINK_MS)
      if (outcome.policy === 'retry' && delivery.attempt >= ATTEMPTS_MAX) return { record: { ...base, state: 'failed' } }
      // What the supplier asks for is the least; a refusal that comes again and again is met with longer and longer pauses.
      const retryAfterMs = Math.max(outcome.retryAfterMs ?? 0, backOffMs(outcome.policy, delivery.attempt, deps.random ?? Math.random))
      return { record: { ...base, state: 'pending', retryAt: new Date(Date.now() + retryAfterMs) }, retryAfterMs }
    }
    case 'window_closed':
      return { record: { ...base, state: 'parked' } }
    case 'stop_number':
    case 'reconnect':
      return { record: { ...base, state: 'failed' }, stopNumber: outcome.policy }
    default:
      return { record: { ...base, state: 'failed' } }
  }
}

/** Pair rate: 4^x seconds, as WhatsApp asks. Otherwise 0.5 s doubling, with jitter so that numbers do not come back together. */
function backOffMs(policy: RejectionPolicy, attempt: number, random: () => number): number {
  if (policy === 'pair_rate') return 4 ** Math.min(attempt, 5) * 1_000
  return 500 * 2 ** Math.min(attempt - 1, 6) * (0.75 + random() / 2)
}
