import { AppError, type ModelUsage, type SpeechUsage } from '@trunkline/core'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { estimateCall, rateCall, rateCarrying, rateSpeech } from './index.ts'

const NOW = Date.UTC(2026, 10, 21)
const leg = { atMs: NOW, carrier: 'twilio', direction: 'inbound' } as const
const speech = (over: Partial<SpeechUsage> = {}): SpeechUsage => ({ kind: 'stt', engine: 'deepgram', model: 'nova-3', audioMs: 60_000, characters: 0, firstResultMs: 200, latencyMs: 60_000, outcome: 'ok', requestId: null, ...over })
const model = (over: Partial<ModelUsage> = {}): ModelUsage => ({ vendor: 'openai', model: 'gpt-5.4-mini', purpose: 'turn', inputTokens: 1_000, cachedInputTokens: 0, outputTokens: 100, latencyMs: 1, firstTokenMs: null, outcome: 'ok', requestId: null, ...over })

describe('rating a call', () => {
  it('charges the answered time by the started second', () => {
    expect(rateCarrying({ ...leg, answeredMs: 60_000 }).amountMicros).toBe(4_000n)
    expect(rateCarrying({ ...leg, answeredMs: 61_001 })).toMatchObject({ what: 'call_seconds', of: 'twilio/inbound', quantity: 62, amountMicros: 4_134n }) // 4133.3 rounded up
    expect(rateCarrying({ ...leg, direction: 'outbound', answeredMs: 1 }).amountMicros).toBe(100n)
    expect(rateCarrying({ ...leg, answeredMs: 0 }).amountMicros).toBe(0n)
  })

  it('charges what was heard by time and what was said by characters, each model at its own price', () => {
    expect(rateSpeech(speech(), leg)?.amountMicros).toBe(7_700n)
    expect(rateSpeech(speech({ model: 'nova-9' }), leg)?.amountMicros).toBe(9_200n)
    expect(rateSpeech(speech({ kind: 'tts', engine: 'elevenlabs', model: 'eleven_flash_v2_5', characters: 101 }), leg)).toMatchObject({ what: 'tts_characters', quantity: 101, amountMicros: 5_050n })
    expect(rateSpeech(speech({ kind: 'tts', engine: 'espeak', model: 'espeak-ng', characters: 500 }), leg)?.amountMicros).toBe(0n)
  })

  it("charges nothing for what failed, and nothing for an engine that the tenant pays itself", () => {
    expect(rateSpeech(speech({ outcome: 'failed' }), leg)).toBeNull()
    expect(rateSpeech(speech({ ownKey: true }), leg)).toBeNull()
    expect(rateSpeech(speech({ outcome: 'aborted', audioMs: 30_000 }), leg)?.amountMicros).toBe(3_850n)
  })

  it('refuses an engine without a price: nothing is given away by accident', () => {
    expect(() => rateSpeech(speech({ engine: 'unheard-of' }), leg)).toThrow(AppError)
  })

  it('adds up: the parts are the sums of the lines, and the total is the sum of the parts', () => {
    const charge = rateCall({ ...leg, answeredMs: 90_000, speech: [speech(), speech({ kind: 'tts', engine: 'openai', model: 'tts-1', characters: 1_000 })], models: [model(), model()] })
    expect(charge.cost).toEqual({ carrier: 6_000n, stt: 7_700n, tts: 15_000n, model: 2_400n })
    expect(charge.totalMicros).toBe(31_100n)
    expect(charge.lines.reduce((sum, line) => sum + line.amountMicros, 0n)).toBe(charge.totalMicros)
  })

  it('holds at least what any minutes within the bounds cost', () => {
    const engines = { stt: [{ engine: 'deepgram', model: 'nova-3' }, { engine: 'openai', model: '' }], tts: [{ engine: 'openai', model: 'tts-1' }, { engine: 'espeak', model: 'x' }] }
    const minute = fc.record({ heardMs: fc.nat(60_000), characters: fc.nat(1_200), ears: fc.constantFrom(...engines.stt), voice: fc.constantFrom(...engines.tts), inputTokens: fc.nat(4_000), outputTokens: fc.nat(200), calls: fc.nat(6) })
    fc.assert(fc.property(fc.array(minute, { minLength: 1, maxLength: 5 }), fc.constantFrom('inbound', 'outbound'), (minutes, direction) => {
      const held = estimateCall({ ...leg, direction, ...engines, minutes: minutes.length, models: [{ vendor: 'openai', model: 'gpt-5.4-mini' }], maxInputTokens: 4_000, maxOutputTokens: 200, maxCallsPerMinute: 6 })
      const used = minutes.flatMap((each) => [speech({ ...each.ears, audioMs: each.heardMs }), speech({ kind: 'tts', ...each.voice, characters: each.characters })])
      const models = minutes.flatMap((each) => Array.from({ length: each.calls }, () => model(each)))
      expect(rateCall({ ...leg, direction, answeredMs: minutes.length * 60_000, speech: used, models }).totalMicros).toBeLessThanOrEqual(held)
    }))
  })
})
