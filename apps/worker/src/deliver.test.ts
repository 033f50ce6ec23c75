import { describe, expect, it } from 'vitest'
import { channels } from '@trunkline/channels'
import type { ChannelClient, SendOutcome } from '@trunkline/core'
import type { RoutedNumber } from '@trunkline/db'
import { deliver, type DeliverDeps } from './deliver.ts'

const number = { id: 'n', channel: 'whatsapp', address: '1', credentials: {}, settings: {} } as unknown as RoutedNumber
const delivery = { outboxId: 'o', request: { kind: 'text', body: {}, text: 'Hello' }, to: '+4915' } as const

/** A supplier that always says the same. `random` in the middle: no jitter. */
function depsWith(outcome: SendOutcome): DeliverDeps {
  const client = { send: async () => outcome } as unknown as ChannelClient
  const buckets = { take: async () => 0, shrink: async () => {} } as unknown as DeliverDeps['buckets']
  return { clients: { whatsapp: client, instagram: client, webchat: client }, channels, buckets, sendTimeoutMs: 1_000, random: () => 0.5 }
}

const pauses = async (outcome: SendOutcome, attempts: number[]) => {
  const results = await Promise.all(attempts.map((attempt) => deliver(depsWith(outcome), number, { ...delivery, attempt }, new AbortController().signal)))
  return results.map((result) => result.retryAfterMs)
}

describe('pauses between attempts', () => {
  it('the pair limit (131056) is met with 4^x seconds; bug: the first pause was repeated for ever', async () => {
    const limited: SendOutcome = { status: 'rejected', policy: 'pair_rate', code: '131056', message: 'Too many.', retryAfterMs: 4_000 }
    expect(await pauses(limited, [1, 2, 3, 4, 5, 9])).toEqual([4_000, 16_000, 64_000, 256_000, 1_024_000, 1_024_000])
  })

  it('a passing fault is tried again five times at growing distances, never sooner than the supplier asks', async () => {
    const failing: SendOutcome = { status: 'rejected', policy: 'retry', code: '131000', message: 'Passing.', retryAfterMs: 2_000 }
    expect(await pauses(failing, [1, 2, 3, 4, 5])).toEqual([2_000, 2_000, 2_000, 4_000, undefined])
  })
})
