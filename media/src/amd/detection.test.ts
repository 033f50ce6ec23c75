import { afterAll, describe, expect, it } from 'vitest'
import { framesOf, mix, noise, openVoices, throughG711 } from '../dsp/testing.ts'
import type { Pcm } from '../frame.ts'
import { ManualClock } from '../playout/testing.ts'
import { createEnergyVad } from '../vad/energy.ts'
import { SpeechEdges } from '../vad/speech-edges.ts'
import { AnswerDetection } from './detection.ts'

const voices = openVoices()
afterAll(() => voices.close())

const sine = (hz: number, ms: number): Pcm => Int16Array.from({ length: ms * 8 }, (_, n) => 4_000 * Math.sin((2 * Math.PI * hz * n) / 8_000))

/** The sound of a call that was answered at its beginning; what was found out, and after how many milliseconds. */
function answeredWith(sound: Pcm, said: { atMs: number; text: string }[] = []): string[] {
  const clock = new ManualClock()
  const openedMs = clock.nowMs()
  const found: string[] = []
  const note = (what: string): void => void found.push(`${what} ${Math.round((clock.nowMs() - openedMs) / 100) / 10}`)
  const detection = new AnswerDetection({ sampleRateHz: 8_000, settings: { language: 'en' }, clock, onEffect: (effect) => note(effect.do === 'verdict' ? effect.verdict : effect.by) })
  const edges = new SpeechEdges()
  const vad = createEnergyVad().open({ sampleRateHz: 8_000, onProbability: (probability, endMs) => edges.push(probability, endMs).forEach((edge) => detection.edge(edge)) })
  const waiting = [...said]
  for (const frame of framesOf(throughG711(sound, 'pcmu'))) {
    clock.pass(20)
    detection.frame(frame)
    vad.push(frame)
    while (waiting[0] && waiting[0].atMs <= clock.nowMs() - openedMs) detection.words({ type: 'final', text: waiting.shift()!.text, startMs: 0, endMs: 0, words: [], confidence: null, language: null, endOfTurn: false })
  }
  detection.close()
  expect(clock.waiting).toBe(0)
  return found
}

describe('answers, by their sound', () => {
  it('a person says hello', async () => {
    const hello = await voices.say('Hello?', 'en-us+m3')
    const endMs = 1_000 + hello.length / 8
    const [found, ...more] = answeredWith(mix(48_000, { pcm: hello, at: 8_000 }, { pcm: noise(48_000, 20) }))
    expect(more).toEqual([])
    expect(found).toMatch(/^human /)
    expect(Number(found!.split(' ')[1]) * 1_000 - endMs).toBeLessThan(900)
  })

  it('a mailbox, without a word of a recogniser: after its greeting, and at the end of its beep', async () => {
    const greeting = await voices.say('You have reached the mailbox of Anna Miller. I am not here at the moment, but I will call you back as soon as I can.', 'en-us+f2')
    const beepAt = greeting.length + 8_000
    const found = answeredWith(mix(beepAt + 40_000, { pcm: greeting, at: 800 }, { pcm: sine(1_000, 500), at: beepAt }, { pcm: noise(beepAt + 40_000, 20) }))
    expect(found.map((line) => line.split(' ')[0])).toEqual(['machine', 'beep'])
    expect(Math.abs(Number(found[1]!.split(' ')[1]) * 1_000 - (beepAt / 8 + 500))).toBeLessThan(150)
  })

  it('a mailbox whose words are recognised is known while it still speaks', async () => {
    const greeting = await voices.say('Hi, this is Anna. Please leave me a message after the tone and I will call you back as soon as I can.', 'en-us+f2')
    const found = answeredWith(mix(greeting.length + 64_000, { pcm: greeting }), [{ atMs: 2_500, text: 'Hi, this is Anna. Please leave me a message' }])
    expect(found[0]).toBe('machine 2.5')
    expect(found[1]).toMatch(/^silence /)
  })

  it('a line that rings on and is answered by nobody', () => {
    const ringing = mix(96_000, ...[0, 5_000, 10_000].map((ms) => ({ pcm: sine(425, 1_000), at: ms * 8 })))
    expect(answeredWith(ringing)).toEqual(['unknown 10'])
  })

  it('a facsimile machine', () => {
    expect(answeredWith(mix(40_000, { pcm: sine(2_100, 3_000), at: 4_000 }))[0]).toMatch(/^fax /)
  })
})
