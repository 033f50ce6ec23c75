import type { ModelUsage } from '@trunkline/core'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { cardAt, chargeDetails, estimateLead, estimateTurn, priceOf, rateLead, RATE_CARDS, rateTurn } from './index.ts'

const NOW = Date.UTC(2026, 10, 20)
const MODELS = [
  { vendor: 'openai', model: 'gpt-5.4-mini-2026-03-17' }, { vendor: 'openai', model: 'gpt-7-unheard-of' },
  { vendor: 'anthropic', model: 'claude-haiku-4-5' }, { vendor: 'groq', model: 'llama' }, { vendor: 'compatible', model: 'qwen' }, { vendor: 'rules', model: 'rules' },
] as const

const BOUNDS = { atMs: NOW, channel: 'whatsapp', models: MODELS, maxCalls: 8, maxInputTokens: 100_000, maxOutputTokens: 4_096, maxMessages: 5, maxTemplates: 2 } as const

const call = (over: Partial<ModelUsage> = {}): ModelUsage => ({
  vendor: 'openai', model: 'gpt-5.4-mini', purpose: 'turn', inputTokens: 0, cachedInputTokens: 0, outputTokens: 0,
  latencyMs: 1, firstTokenMs: null, outcome: 'ok', requestId: null, ...over,
})

const callPrice = (usage: ModelUsage) => rateTurn({ atMs: NOW, channel: 'webchat', usage: [usage], messagesSent: 0 }).totalMicros

const anyCall = fc.record({
  which: fc.constantFrom(...MODELS),
  inputTokens: fc.nat(BOUNDS.maxInputTokens),
  // More cached than input happens when a supplier counts them apart: it must not become a negative price.
  cachedInputTokens: fc.nat(BOUNDS.maxInputTokens * 2),
  outputTokens: fc.nat(BOUNDS.maxOutputTokens),
  outcome: fc.constantFrom('ok', 'failed', 'refused', 'incomplete', 'aborted'),
}).map(({ which, ...rest }) => call({ ...which, ...rest }))

const anyWork = fc.record({
  usage: fc.array(anyCall, { maxLength: BOUNDS.maxCalls }),
  messagesSent: fc.nat(BOUNDS.maxMessages),
  templatesSent: fc.nat(BOUNDS.maxTemplates),
  channel: fc.constantFrom('whatsapp', 'instagram', 'webchat'),
}).map((work) => ({ atMs: NOW, ...work }) as const)

describe('rating a turn', () => {
  it('charges tokens by model, cached ones at their own price, and every message the channel accepted', () => {
    const charged = rateTurn({ atMs: NOW, channel: 'whatsapp', usage: [call({ inputTokens: 3_000, cachedInputTokens: 1_000, outputTokens: 201 })], messagesSent: 3 })
    expect(charged.lines.map(({ what, of, quantity, amountMicros }) => [what, of, quantity, amountMicros])).toEqual([
      ['input_tokens', 'openai/gpt-5.4-mini', 2_000, 1_500n],
      ['cached_input_tokens', 'openai/gpt-5.4-mini', 1_000, 75n],
      ['output_tokens', 'openai/gpt-5.4-mini', 201, 905n], // 904.5 rounded up
      ['message', 'whatsapp', 3, 15_000n],
    ])
    expect(charged.totalMicros).toBe(17_480n)
    expect(charged.callMicros).toEqual([2_480n])
  })

  it('charges a small fixed fee for a rule-based answer and nothing for a failed call', () => {
    const usage = [call({ outcome: 'failed', inputTokens: 900 }), call({ vendor: 'rules', model: 'rules' })]
    expect(rateTurn({ atMs: NOW, channel: 'webchat', usage, messagesSent: 1 }).callMicros).toEqual([0n, cardAt(NOW).rulesAnswerMicros])
  })

  it("charges no tokens of a vendor that the tenant pays with its own key, but the channel's fee", () => {
    const work = { atMs: NOW, channel: 'whatsapp', usage: [call({ inputTokens: 5_000, outputTokens: 900, ownKey: true })], messagesSent: 1 } as const
    expect(rateTurn(work).totalMicros).toBe(5_000n)
  })

  it('bills WhatsApp service messages since 1 October 2026 only', () => {
    const prices = [Date.UTC(2026, 8, 30, 23, 59, 59, 999), Date.UTC(2026, 9, 1)].map((atMs) => rateTurn({ atMs, channel: 'whatsapp', usage: [], messagesSent: 1 }).totalMicros)
    expect(prices).toEqual([0n, 5_000n])
  })

  it('adds the extraction fee to the tokens of a lead', () => {
    const charged = rateLead({ atMs: NOW, usage: [call({ purpose: 'lead', outputTokens: 100 })] })
    expect(charged.totalMicros).toBe(450n + cardAt(NOW).leadMicros)
  })

  it('stores lines with amounts as strings', () => {
    const details = chargeDetails(rateTurn({ atMs: NOW, channel: 'whatsapp', usage: [], messagesSent: 1 }))
    expect(details).toEqual({ lines: [{ what: 'message', of: 'whatsapp', quantity: 1, per: 1, unit_micros: '5000', amount_micros: '5000' }] })
  })
})

describe('the rate card', () => {
  it('prices a dated snapshot like its family, by the longest beginning', () => {
    const card = cardAt(NOW)
    expect(priceOf(card, 'openai', 'gpt-5.4-mini-2026-03-17').outputMicros).toBe(4_500_000n)
    expect(priceOf(card, 'openai', 'gpt-5.4-2026-03-05').outputMicros).toBe(15_000_000n)
    expect(priceOf(card, 'openai', 'something-new').outputMicros).toBe(30_000_000n)
  })

  it('refuses a time before the first card instead of giving work away', () => {
    expect(() => cardAt(RATE_CARDS[0]!.validFromMs - 1)).toThrow('Something went wrong on our side.')
  })

  it('is in order, and every card has a default for every vendor', () => {
    expect(RATE_CARDS.toSorted((a, b) => a.validFromMs - b.validFromMs)).toEqual(RATE_CARDS)
    for (const card of RATE_CARDS) for (const vendor of ['openai', 'anthropic', 'groq', 'compatible'] as const) expect(priceOf(card, vendor, '?').outputMicros >= 0n).toBe(true)
  })
})

describe('properties of rating', () => {
  it('the total is the sum of the lines and of calls and fees; nothing is negative', () => {
    fc.assert(fc.property(anyWork, (work) => {
      const charged = rateTurn(work)
      expect(charged.totalMicros).toBe(charged.lines.reduce((total, each) => total + each.amountMicros, 0n))
      const fees = charged.lines.filter((each) => each.what === 'message' || each.what === 'template')
      expect(charged.totalMicros).toBe([...charged.callMicros, ...fees.map((each) => each.amountMicros)].reduce((total, each) => total + each, 0n))
      expect([...charged.lines.map((each) => each.amountMicros), ...charged.callMicros].every((amount) => amount >= 0n)).toBe(true)
    }), { numRuns: 2_000 })
  })

  it('a line is rounded up by less than one micro-credit', () => {
    fc.assert(fc.property(anyWork, (work) => {
      for (const each of rateTurn(work).lines) {
        const excess = each.amountMicros * BigInt(each.per) - BigInt(each.quantity) * each.unitMicros
        expect(excess >= 0n && excess < BigInt(each.per)).toBe(true)
      }
    }), { numRuns: 1_000 })
  })

  it('more work never costs less', () => {
    fc.assert(fc.property(anyWork, anyCall, fc.nat(3), (work, extra, messages) => {
      const more = { ...work, usage: [...work.usage, extra], messagesSent: work.messagesSent + messages }
      expect(rateTurn(more).totalMicros >= rateTurn(work).totalMicros).toBe(true)
    }), { numRuns: 1_000 })
    fc.assert(fc.property(anyCall, fc.nat(1_000), fc.nat(1_000), (one, input, output) => {
      const bigger = { ...one, inputTokens: one.inputTokens + input, outputTokens: one.outputTokens + output, cachedInputTokens: Math.min(one.cachedInputTokens, one.inputTokens) }
      expect(callPrice(bigger) >= callPrice(one)).toBe(true)
    }), { numRuns: 1_000 })
  })

  it('the estimate covers any work within its bounds, on every card', () => {
    fc.assert(fc.property(anyWork, fc.constantFrom(...RATE_CARDS), (work, card) => {
      const at = { atMs: card.validFromMs }
      expect(estimateTurn({ ...BOUNDS, ...at, channel: work.channel }) >= rateTurn({ ...work, ...at }).totalMicros).toBe(true)
      expect(estimateLead({ ...BOUNDS, ...at }) >= rateLead({ ...work, ...at }).totalMicros).toBe(true)
    }), { numRuns: 2_000 })
  })

  it('the estimate is tight: the dearest work within the bounds costs all but the rounding', () => {
    const usage = Array.from({ length: BOUNDS.maxCalls }, () => call({ model: 'gpt-7-unheard-of', inputTokens: BOUNDS.maxInputTokens, outputTokens: BOUNDS.maxOutputTokens }))
    const dearest = rateTurn({ atMs: NOW, channel: 'whatsapp', usage, messagesSent: BOUNDS.maxMessages, templatesSent: BOUNDS.maxTemplates }).totalMicros
    expect(estimateTurn(BOUNDS) - dearest).toBe(BigInt(BOUNDS.maxCalls))
  })
})
