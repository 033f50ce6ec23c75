import { silentLogger, systemClock, type SpeechUsage } from '@trunkline/core'
import { openSpeechHouse, voiceLevel, type SpeechHouse } from '@trunkline/media'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createCallerVoice, VOICE_RMS } from './voice.ts'

// The embedded voice: it needs no key, and says the same every time.
let house: SpeechHouse
beforeAll(async () => {
  house = await openSpeechHouse({ vad: 'energy' }, { clock: systemClock, log: silentLogger })
})
afterAll(() => house.close())

const used: SpeechUsage[] = []
const voice = (wish: { speed?: number; pitch?: number }) => createCallerVoice(house, { engine: 'espeak', voice_id: null, speed: 1, pitch: 1, language: 'en', ...wish }, (usage) => used.push(usage))
const WORDS = 'When do you open tomorrow morning?'
/** Crossings of zero a second: higher voices cross it more often. */
const brightness = (pcm: Int16Array) => (pcm.reduce((count, sample, n) => count + (n > 0 && pcm[n - 1]! < 0 && sample >= 0 ? 1 : 0), 0) * 8_000) / pcm.length

it('has the level that noise is measured against, without silence around it, and is made once for the same words', async () => {
  const caller = voice({})
  const [pcm, again] = [await caller.speak(WORDS), await caller.speak(WORDS)]
  expect(voiceLevel(pcm, 8_000) / VOICE_RMS).toBeCloseTo(1, 1)
  expect(Math.max(...pcm.subarray(0, 80).map(Math.abs))).toBeGreaterThan(50)
  expect(again).toBe(pcm)
  expect(used).toHaveLength(1)
  expect(used[0]).toMatchObject({ kind: 'tts', engine: 'espeak', outcome: 'ok' })
})

it('is quicker, or higher and as quick as before', async () => {
  const [plain, quick, high] = [await voice({}).speak(WORDS), await voice({ speed: 1.6 }).speak(WORDS), await voice({ pitch: 1.4 }).speak(WORDS)]
  expect(quick.length / plain.length).toBeLessThan(0.8)
  expect(Math.abs(high.length / plain.length - 1)).toBeLessThan(0.15)
  expect(brightness(high) / brightness(plain)).toBeGreaterThan(1.15)
})
