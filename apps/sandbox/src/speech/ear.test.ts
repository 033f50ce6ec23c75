import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Ear } from './ear.ts'
import type { Heard } from './ear.ts'
import { fromAlaw, fromMulaw, readWav, toAlaw, toLinear16, toMulaw, wavHeader } from './sound.ts'
import { speak } from './voice.ts'

function hear(pcm: Int16Array, rate: number, frame = pcm.length): Heard[] {
  const heard: Heard[] = []
  const ear = new Ear(rate, (one) => heard.push(one))
  for (let at = 0; at < pcm.length; at += frame) ear.push(pcm.subarray(at, at + frame))
  ear.flush()
  return heard
}
const words = (heard: Heard[]) => heard.map(({ text }) => text)
const rates = [8_000, 16_000, 24_000, 48_000]
const word = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 8 }).filter((text) => /^\S+$/.test(text) && text.isWellFormed())

describe('the sandbox\'s voice and ear', () => {
  it('say and hear the same words, at every rate and speed, cut into any frames', () => {
    fc.assert(
      fc.property(fc.array(word, { minLength: 1, maxLength: 4 }), fc.constantFrom(...rates), fc.constantFrom(0.5, 0.75, 1, 1.3, 2), fc.integer({ min: 1, max: 4_000 }), (said, rate, speed, frame) => {
        const { pcm } = speak(said.join(' '), { sampleRateHz: rate, speed })
        expect(words(hear(pcm, rate, frame))).toEqual(said)
      }),
      { numRuns: 60 },
    )
  })

  it.each([['mu-law', (pcm: Int16Array) => fromMulaw(toMulaw(pcm))], ['A-law', (pcm: Int16Array) => fromAlaw(toAlaw(pcm))], ['a tenth of the volume', (pcm: Int16Array) => pcm.map((sample) => sample / 10)]])('understand each other over a telephone line: %s', (_, line) => {
    const said = 'My order number is A-1001, could you check it, please? Grüße!'
    const { pcm } = speak(said, { sampleRateHz: 8_000 })
    const heard = hear(line(pcm), 8_000, 160)
    expect(words(heard).join(' ')).toBe(said)
    expect(Math.min(...heard.map(({ confidence }) => confidence))).toBeGreaterThan(0.9)
  })

  it('agree on the time of every word', () => {
    const { pcm, words: spoken } = speak('Good morning. How are you?', { sampleRateHz: 16_000 })
    const heard = hear(pcm, 16_000)
    for (const [index, { startMs, text }] of spoken.entries()) {
      expect(heard[index]!.text).toBe(text)
      expect(Math.abs(heard[index]!.startMs - startMs)).toBeLessThan(5)
    }
  })

  it('a word that lost four frames is doubted, its neighbours are not', () => {
    const { pcm, words: spoken } = speak('alpha bravo charlie', { sampleRateHz: 8_000 })
    const from = Math.round(((spoken[1]!.startMs + spoken[1]!.endMs) / 2) * 8) - 320
    pcm.fill(0, from, from + 640)
    const heard = hear(pcm, 8_000)
    expect(heard.filter(({ confidence }) => confidence > 0.6).map(({ text }) => text)).toEqual(['alpha', 'charlie'])
  })

  it('a foreign voice is sound without words', () => {
    // Pulses of a pitch of 120 Hz, rich in harmonics, as a human vowel is.
    const vowel = Int16Array.from({ length: 16_000 }, (_, n) => 8_000 * Array.from({ length: 20 }, (_, k) => Math.sin((2 * Math.PI * 120 * (k + 1) * n) / 16_000) / (k + 1)).reduce((a, b) => a + b, 0) * 0.5)
    const heard = hear(vowel, 16_000)
    expect(heard.length).toBeGreaterThan(0)
    expect(heard.every(({ text, confidence }) => text === null && confidence < 0.6)).toBe(true)
  })

  it('silence is nothing', () => {
    expect(hear(new Int16Array(16_000), 16_000)).toEqual([])
  })
})

describe('WAV files', () => {
  it('are read back as written, of unknown length too', () => {
    const { pcm } = speak('hello', { sampleRateHz: 24_000 })
    for (const bytes of [pcm.length * 2, null]) expect(readWav(Buffer.concat([wavHeader(24_000, bytes), toLinear16(pcm)]))).toEqual({ pcm, sampleRateHz: 24_000 })
  })

  it('anything else is none', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => readWav(Buffer.from(bytes)) === null))
  })
})
