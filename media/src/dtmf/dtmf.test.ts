import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import { framesOf, gainOf, mix, noise, openVoices, rmsOf, TALK, throughG711 } from '../dsp/testing.ts'
import type { Pcm, SampleRateHz } from '../frame.ts'
import { createBeepDetector, type Beep } from './beep.ts'
import { tonesOf } from './contract.ts'
import { createDtmfDetector } from './detector.ts'
import { dtmfTone } from './generator.ts'

const voices = openVoices()
afterAll(() => voices.close())

const KEYS = '0123456789ABCD*#'
const ALL_KEYS = Array.from(KEYS)

function digitsIn(pcm: Pcm, sampleRateHz: SampleRateHz = 8_000): string {
  let digits = ''
  const detector = createDtmfDetector({ sampleRateHz, onDigit: (digit) => (digits += digit) })
  for (const frame of framesOf(pcm, sampleRateHz)) detector.push(frame)
  detector.close()
  return digits
}

function beepsIn(pcm: Pcm): Beep[] {
  const beeps: Beep[] = []
  const detector = createBeepDetector({ sampleRateHz: 8_000, onEnd: (beep) => beeps.push(beep) })
  for (const frame of framesOf(pcm)) detector.push(frame)
  return beeps
}

/** A pair of tones, each so far beside its frequency and so loud; between silences. */
function pair(key: string, { ms = 60, lowBeside = 0, highBeside = 0, lowDb = 0, highDb = 0, atSample = 0 }): Pcm {
  const { lowHz, highHz } = tonesOf(key)!
  const tone = Int16Array.from({ length: ms * 8 }, (_, n) => {
    const at = (hz: number, beside: number, db: number): number => 3_500 * gainOf(db) * Math.sin((2 * Math.PI * hz * (1 + beside) * n) / 8_000)
    return at(lowHz, lowBeside, lowDb) + at(highHz, highBeside, highDb)
  })
  return mix(tone.length + 1_600, { pcm: tone, at: 400 + atSample })
}

const anyKey = fc.constantFrom(...ALL_KEYS)

describe('keys of a telephone, by their sound', () => {
  it.each([8_000, 16_000, 24_000, 48_000] as const)('all are known at %i Hz, each once', (rate) => {
    expect(digitsIn(dtmfTone(KEYS, rate), rate)).toBe(KEYS)
  })

  it('law: what the generator sends the detector hears, waits and G.711 in between', () => {
    const digits = fc.string({ unit: fc.constantFrom(...ALL_KEYS, 'w', 'W'), minLength: 1, maxLength: 12 }).filter((text) => /[^wW]/.test(text))
    fc.assert(fc.property(digits, fc.constantFrom('pcmu', 'pcma'), (text, law) => {
      const pressed = dtmfTone(text, 8_000)
      expect(digitsIn(throughG711(mix(pressed.length + 800, { pcm: pressed }), law))).toBe(text.replaceAll(/[wW]/g, ''))
    }), { numRuns: 40 })
  })

  it('law (Q.24): 40 ms with 40 ms between are known wherever they fall, also the same key again', () => {
    fc.assert(fc.property(anyKey, fc.integer({ min: 0, max: 159 }), (key, at) => {
      const pressed = dtmfTone(key.repeat(3), 8_000, { toneMs: 40, gapMs: 40 })
      expect(digitsIn(mix(pressed.length + 1_600, { pcm: pressed, at: 400 + at }))).toBe(key.repeat(3))
    }), { numRuns: 60 })
  })

  it('law (Q.24): 1.5 % beside is taken, 3.5 % is not', () => {
    const side = fc.constantFrom(-1, 1)
    fc.assert(fc.property(anyKey, side, side, fc.integer({ min: 0, max: 159 }), (key, low, high, atSample) => {
      expect(digitsIn(pair(key, { lowBeside: low * 0.015, highBeside: high * 0.015, atSample }))).toBe(key)
      expect(digitsIn(pair(key, { lowBeside: low * 0.035, atSample }))).toBe('')
      expect(digitsIn(pair(key, { highBeside: high * 0.035, atSample }))).toBe('')
    }), { numRuns: 60 })
  })

  it('law (Q.24): down to -25 dBm0, high up to 4 dB over and 8 dB under the low tone', () => {
    fc.assert(fc.property(anyKey, fc.integer({ min: -8, max: 4 }), (key, twistDb) => {
      // 3500 is -16.3 dBm0.
      expect(digitsIn(pair(key, { lowDb: -8 + Math.max(0, -twistDb), highDb: -8 + Math.max(0, twistDb) }))).toBe(key)
    }), { numRuns: 60 })
    expect(digitsIn(pair('5', { highDb: -14 }))).toBe('')
    expect(digitsIn(pair('5', { lowDb: -30, highDb: -30 }))).toBe('')
  })

  it('an interruption of 10 ms does not make two of one (Q.24), a tone of 20 ms is none', () => {
    const tone = pair('7', { ms: 120 })
    tone.fill(0, 400 + 440, 400 + 520)
    expect(digitsIn(tone)).toBe('7')
    for (let atSample = 0; atSample < 160; atSample += 10) expect(digitsIn(pair('7', { ms: 20, atSample }))).toBe('')
  })

  it('noise 15 dB under the keys takes none of them away and adds none', () => {
    const pressed = dtmfTone('15*#09D', 8_000)
    const level = rmsOf(dtmfTone('5', 8_000, { gapMs: 0 }))
    for (const seed of [1, 2, 3, 4]) expect(digitsIn(mix(pressed.length, { pcm: pressed }, { pcm: noise(pressed.length, level * gainOf(-15), seed) }))).toBe('15*#09D')
    expect(digitsIn(noise(80_000, 3_000))).toBe('')
  })

  it('tells how long a key was held', () => {
    const held: number[] = []
    const detector = createDtmfDetector({ sampleRateHz: 8_000, onDigit: () => {}, onRelease: (_, ms) => held.push(ms) })
    detector.push(pair('9', { ms: 500 }))
    expect(held).toHaveLength(1)
    expect(Math.abs(held[0]! - 500)).toBeLessThanOrEqual(20)
  })

  it('what is no key is refused by the generator', () => {
    expect(() => dtmfTone('12x', 8_000)).toThrow(/"x" is no key/)
    expect(() => dtmfTone('', 8_000)).toThrow(/Between 1 and 64/)
    expect(() => dtmfTone('1'.repeat(65), 8_000)).toThrow(/Between 1 and 64/)
  })
})

describe('a voice is no key and no beep', () => {
  it.each(Object.entries(TALK).flatMap(([language, text]) => ['', '+m3', '+f2', '+f5'].map((variant) => [language + variant, text] as const)))('%s', async (voice, text) => {
    const pcm = throughG711(await voices.say(text, voice), 'pcmu')
    expect(digitsIn(pcm)).toBe('')
    expect(beepsIn(pcm)).toEqual([])
  })

  it('a key pressed while somebody speaks softly is still known', async () => {
    const speech = await voices.say(TALK.en!, 'en-us')
    const pressed = dtmfTone('2W8', 8_000)
    expect(digitsIn(mix(speech.length, { pcm: speech, gain: 0.12 }, { pcm: pressed, at: 8_000 }))).toBe('28')
  })
})

describe('the beep of an answering machine', () => {
  const tone = (hz: number, ms: number, level = 4_000): Pcm => Int16Array.from({ length: ms * 8 }, (_, n) => level * Math.sin((2 * Math.PI * hz * n) / 8_000))

  it('law: a steady tone from 350 to 2000 Hz of 150 ms or more is one, where it is and as high as it is', () => {
    fc.assert(fc.property(fc.integer({ min: 350, max: 2_000 }), fc.integer({ min: 150, max: 900 }), fc.integer({ min: 0, max: 400 }), (hz, ms, at) => {
      const beeps = beepsIn(throughG711(mix(ms * 8 + 4_000, { pcm: tone(hz, ms), at: 800 + at }), 'pcmu'))
      expect(beeps).toHaveLength(1)
      expect(Math.abs(beeps[0]!.hz - hz)).toBeLessThanOrEqual(3)
      expect(Math.abs(beeps[0]!.durationMs - ms)).toBeLessThanOrEqual(30)
      expect(Math.abs(beeps[0]!.atMs - (800 + at) / 8)).toBeLessThanOrEqual(20)
    }), { numRuns: 60 })
  })

  it('is not a short tick, two tones at once, a key, or a glide', () => {
    expect(beepsIn(mix(8_000, { pcm: tone(1_000, 80), at: 800 }))).toEqual([])
    expect(beepsIn(mix(8_000, { pcm: tone(440, 500), at: 800 }, { pcm: tone(480, 500), at: 800 }))).toEqual([])
    expect(beepsIn(dtmfTone('1234567890', 8_000, { toneMs: 300 }))).toEqual([])
    const glide = Int16Array.from({ length: 8_000 }, (_, n) => 4_000 * Math.sin((2 * Math.PI * (400 + 0.05 * n) * n) / 8_000))
    expect(beepsIn(glide)).toEqual([])
  })

  it('is found behind the greeting and in the noise of the line', async () => {
    const greeting = await voices.say('Please leave a message after the tone.', 'en-us+f3')
    const all = mix(greeting.length + 16_000, { pcm: greeting }, { pcm: tone(1_400, 400, 3_000), at: greeting.length + 4_000 }, { pcm: noise(greeting.length + 16_000, 150) })
    const beeps = beepsIn(all)
    expect(beeps).toHaveLength(1)
    expect(Math.abs(beeps[0]!.atMs - (greeting.length + 4_000) / 8)).toBeLessThanOrEqual(20)
  })

  it('says at its beginning that it has begun', () => {
    const started: Beep[] = []
    const detector = createBeepDetector({ sampleRateHz: 8_000, onStart: (beep) => started.push(beep), onEnd: () => {} })
    detector.push(mix(4_000, { pcm: tone(1_000, 500) }))
    expect(started).toHaveLength(1)
  })
})
