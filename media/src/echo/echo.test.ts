import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { gainOf, mix, noise, openVoices, rmsOf, throughG711 } from '../dsp/testing.ts'
import type { Pcm, SampleRateHz } from '../frame.ts'
import { createResampler } from '../resample/resampler.ts'
import type { SpeechUsage, SttEngine, SttStream } from '../stt/contract.ts'
import { joinPcm } from '../tts/index.ts'
import type { Vad } from '../vad/contract.ts'
import { createEnergyVad } from '../vad/energy.ts'
import { SpeechEdges, type SpeechEdge } from '../vad/speech-edges.ts'
import { createEchoGate } from './gate.ts'
import { gateEcho } from './gated-vad.ts'
import { speakerphone, vocoder } from './testing.ts'

const voices = openVoices()
afterAll(() => voices.close())

const AGENT = 'Thank you for calling the dental practice of Doctor Miller. How can I help you today? We have free times on Monday morning at nine and on Thursday afternoon at three.'
const CALLER = 'No wait, I would like to come on Friday if that is possible, because I have to work on the other days.'
let agent: Pcm
let caller: Pcm
/** The agent's voice as a loudspeaker and a room make it. */
let returned: Pcm
beforeAll(async () => {
  agent = await voices.say(AGENT, 'en-us+f3')
  caller = await voices.say(CALLER, 'en-us+m3')
  returned = speakerphone(agent)
})

type LineOptions = { echoDb?: number | null; delayMs?: number; voice?: Pcm; voiceMs?: number; noiseRms?: number; back?: Pcm }

/** What comes in from a line of that kind while the agent speaks. */
function heardOn({ echoDb = -12, delayMs = 200, voice, voiceMs = 0, noiseRms = 25, back = returned }: LineOptions): Pcm {
  const echo = { pcm: back, at: delayMs * 8, gain: echoDb === null ? 0 : gainOf(echoDb) }
  return throughG711(mix(agent.length, echo, { pcm: noise(agent.length, noiseRms) }, ...(voice ? [{ pcm: voice, at: voiceMs * 8 }] : [])), 'pcmu')
}

type Course = { edges: SpeechEdge[]; starts: number[]; delayMs: number | null; echoes: boolean[] }

type ListenOptions = { gated?: boolean; late?: (frame: number) => number; sampleRateHz?: SampleRateHz }

/** Played and heard as a call does it; `late` moves the moment at which a frame comes in. */
function listen(played: Pcm, heard: Pcm, { gated = true, late = () => 0, sampleRateHz = 8_000 }: ListenOptions = {}): Course {
  const gate = createEchoGate({ sampleRateHz })
  const edges = new SpeechEdges()
  const course: Course = { edges: [], starts: [], delayMs: null, echoes: [] }
  let isEcho = false
  const vad = createEnergyVad().open({ sampleRateHz: sampleRateHz === 16_000 ? 16_000 : 8_000, onProbability: (probability, endMs) => course.edges.push(...edges.push(gated && isEcho ? 0 : probability, endMs)) })
  const size = sampleRateHz / 50
  for (let frame = 0; (frame + 1) * size <= Math.min(played.length, heard.length); frame++) {
    gate.played(played.subarray(frame * size, (frame + 1) * size), 5_000 + frame * 20)
    const verdict = gate.heard(heard.subarray(frame * size, (frame + 1) * size), 5_000 + frame * 20 + late(frame))
    isEcho = verdict.isEcho
    course.delayMs = verdict.delayMs
    course.echoes.push(isEcho)
    vad.push(heard.subarray(frame * size, (frame + 1) * size))
  }
  gate.close()
  course.starts = course.edges.filter(({ type }) => type === 'start').map(({ atMs }) => atMs)
  return course
}

const LEVELS = [-6, -12, -18, -25]
const DELAYS = [40, 150, 280, 400]

describe("the agent's own voice, come back", () => {
  it.each(LEVELS.flatMap((db) => DELAYS.map((ms) => [db, ms] as const)))('at %i dB after %i ms interrupts nobody', (echoDb, delayMs) => {
    const heard = heardOn({ echoDb, delayMs })
    expect(listen(agent, heard, { gated: false }).starts.length).toBeGreaterThan(1)
    const { starts, delayMs: found } = listen(agent, heard)
    expect(starts).toEqual([])
    expect(Math.abs(found! - delayMs)).toBeLessThanOrEqual(20)
  })

  it('is known although frames come in bursts, up to 60 ms late', () => {
    expect(listen(agent, heardOn({}), { late: (frame) => 60 - (frame % 4) * 20 }).starts).toEqual([])
  })

  it('is known although the clocks of both sides drift apart', () => {
    expect(listen(agent, heardOn({}), { late: (frame) => frame * 0.004 }).starts).toEqual([])
  })

  it('is mostly known although a codec has left nothing of the wave', () => {
    const heard = heardOn({ back: vocoder(returned) })
    const { echoes, delayMs } = listen(agent, heard)
    expect(Math.abs(delayMs! - 200)).toBeLessThanOrEqual(20)
    expect(echoes.filter(Boolean).length / echoes.length).toBeGreaterThan(0.6)
  })

  it('is known in a room with noise', () => {
    expect(listen(agent, heardOn({ echoDb: -15, noiseRms: 80 })).starts).toEqual([])
  })

  it.each([16_000, 24_000, 48_000] as const)('is known on a line of %i Hz', (sampleRateHz) => {
    const wide = (pcm: Pcm): Pcm => createResampler({ fromHz: 8_000, toHz: sampleRateHz }).process(pcm)
    const { echoes } = listen(wide(agent), wide(heardOn({})), { sampleRateHz })
    expect(echoes.filter(Boolean).length / echoes.length).toBeGreaterThan(0.6)
  })

  it('is known again after its way has become longer by 120 ms', () => {
    const half = Math.floor(agent.length / 320) * 160
    const heard = mix(agent.length, { pcm: heardOn({ delayMs: 120 }).subarray(0, half) }, { pcm: heardOn({ delayMs: 240 }).subarray(half), at: half })
    const { delayMs, echoes } = listen(agent, heard)
    expect(Math.abs(delayMs! - 240)).toBeLessThanOrEqual(20)
    expect(echoes.slice(-100).filter(Boolean).length).toBeGreaterThan(50)
  })
})

describe('a caller who speaks over the agent', () => {
  it.each([null, ...LEVELS].flatMap((db) => [1_000, 3_000].map((ms) => [db, ms] as const)))('with an echo of %s dB, from %i ms on, has the word as soon as without the gate', (echoDb, voiceMs) => {
    const { starts, echoes } = listen(agent, heardOn({ echoDb, voice: caller, voiceMs }))
    expect(starts[0]!).toBeGreaterThanOrEqual(voiceMs - 40)
    expect(starts[0]!).toBeLessThanOrEqual(voiceMs + 140)
    const during = echoes.slice(voiceMs / 20, (voiceMs + caller.length / 8) / 20)
    expect(during.filter((isEcho) => !isEcho).length / during.length).toBeGreaterThan(0.85)
  })

  it('is heard with a single word', async () => {
    const word = await voices.say('Stop!', 'en-us+m1')
    const { starts } = listen(agent, heardOn({ echoDb: -12, voice: word, voiceMs: 3_000 }))
    expect(starts).toHaveLength(1)
    expect(Math.abs(starts[0]! - 3_000)).toBeLessThanOrEqual(150)
  })

  it('is heard with the voice and the words of the agent, said by somebody else at another time', () => {
    const { starts } = listen(agent, heardOn({ echoDb: null, voice: agent.subarray(16_000), voiceMs: 2_600 }))
    expect(starts.length).toBeGreaterThan(0)
    expect(starts[0]!).toBeLessThanOrEqual(2_740)
  })

  it('is heard at once where the agent has been speaking and nothing came back', () => {
    expect(listen(agent, heardOn({ echoDb: null, voice: caller, voiceMs: 2_000 })).echoes).not.toContain(true)
  })

  it.each([0, 100, 250])('is heard on a line without echo although both begin at once (%i ms apart)', (voiceMs) => {
    const { echoes, delayMs } = listen(agent, heardOn({ echoDb: null, voice: caller, voiceMs }))
    expect(echoes.slice(voiceMs / 20 + 50)).not.toContain(true)
    expect(delayMs).toBeNull()
  })

  it('while nobody plays anything, nothing is an echo', () => {
    const { echoes, delayMs } = listen(new Int16Array(caller.length), caller)
    expect(echoes).not.toContain(true)
    expect(delayMs).toBeNull()
  })

  it('answers right after the agent, and the rest of the echo does not swallow it', () => {
    const played = mix(agent.length + 32_000, { pcm: agent })
    const heard = mix(played.length, { pcm: heardOn({}) }, { pcm: caller, at: agent.length + 3_200 }, { pcm: noise(played.length, 25) })
    const answerMs = agent.length / 8 + 400
    const { starts } = listen(played, heard)
    expect(starts).toHaveLength(1)
    expect(Math.abs(starts[0]! - answerMs)).toBeLessThanOrEqual(140)
  })
})

describe('the gate between player and ears', () => {
  /** A recogniser that keeps what it hears. */
  function recorder(): { stt: SttEngine; heard: Pcm[] } {
    const heard: Pcm[] = []
    const usage: SpeechUsage = { kind: 'stt', engine: 'test', model: 'test', audioMs: 0, characters: 0, firstResultMs: null, latencyMs: 0, outcome: 'ok', requestId: null }
    const events: SttStream['events'] = (async function* none() {})()
    const stt: SttEngine = {
      id: 'test', model: 'test', finalP99Ms: 500,
      open: () => ({ push: (pcm) => void heard.push(pcm.slice()), finish() {}, events, close: () => usage }),
      transcribe: () => Promise.reject(new Error('not asked for')),
    }
    return { stt, heard }
  }

  function course(played: Pcm, sound: Pcm, cutMs = Infinity): { starts: number[]; tapped: number; heard: Pcm } {
    let [nowMs, tapped] = [1_000, 0]
    const { stt, heard } = recorder()
    const clock = { nowMs: () => nowMs, after: () => () => {} }
    const gated = gateEcho({ vad: createEnergyVad(), stt, tap: { frame: () => void tapped++, cut: () => void tapped++ }, sampleRateHz: 8_000, clock })
    const edges = new SpeechEdges()
    const starts: number[] = []
    const ears = gated.vad.open({ sampleRateHz: 8_000, onProbability: (probability, endMs) => starts.push(...edges.push(probability, endMs).filter(({ type }) => type === 'start').map(({ atMs }) => atMs)) })
    const words = gated.stt.open({ sampleRateHz: 8_000, language: null, keyterms: [], signal: new AbortController().signal })
    for (let at = 0; at + 160 <= sound.length; at += 160, nowMs += 20) {
      // Sent ahead by 100 ms, as to a carrier that can clear.
      if (nowMs < cutMs) gated.tap.frame(played.subarray(at, at + 160), nowMs + 100)
      else gated.tap.cut(nowMs)
      ears.push(sound.subarray(at, at + 160))
      words.push(sound.subarray(at, at + 160))
    }
    ears.close()
    return { starts, tapped, heard: joinPcm(heard) }
  }

  it('hears no speech in an echo, hears the caller, and passes on what it taps', () => {
    const { starts, tapped } = course(agent, heardOn({ delayMs: 300 }))
    expect(starts).toEqual([])
    expect(tapped).toBe(Math.floor(agent.length / 160))
    expect(course(agent, heardOn({ delayMs: 300, voice: caller, voiceMs: 2_500 })).starts).toHaveLength(1)
  })

  it('lets the recogniser hear the caller and not ourselves, at the same times', () => {
    const alone = heardOn({ delayMs: 300 })
    const { heard } = course(agent, alone)
    expect(heard.length).toBe(alone.length - (alone.length % 160))
    expect(rmsOf(heard)).toBeLessThan(rmsOf(alone) / 4)
    const both = heardOn({ delayMs: 300, voice: caller, voiceMs: 2_500 })
    const during = (pcm: Pcm): Pcm => pcm.subarray(2_600 * 8, 2_500 * 8 + caller.length)
    expect(rmsOf(during(course(agent, both).heard))).toBeGreaterThan(0.95 * rmsOf(during(both)))
  })

  it('what was cut was not played: the same sound later is a voice', () => {
    expect(course(agent, heardOn({ delayMs: 300 }), 1_000).starts.length).toBeGreaterThan(1)
  })

  it('judges by the time of the probability, also of a detector that is late and looks at windows of 32 ms', () => {
    let [nowMs, frames] = [1_000, 0]
    const told: { probability: number; endMs: number }[] = []
    const sure = (tell: (probability: number, endMs: number) => void): void => {
      // Ten frames behind; 8 windows last as long as 12.8 frames.
      for (let window = told.length + 1; window * 32 <= (frames - 10) * 20; window++) tell(0.9, window * 32)
    }
    const slow: Vad = { open: ({ onProbability }) => ({ push: () => (frames++, sure(onProbability)), close() {} }), close: async () => {} }
    const { vad, tap } = gateEcho({ vad: slow, stt: recorder().stt, sampleRateHz: 8_000, clock: { nowMs: () => nowMs, after: () => () => {} } })
    const ears = vad.open({ sampleRateHz: 8_000, onProbability: (probability, endMs) => told.push({ probability, endMs }) })
    const heard = heardOn({ delayMs: 100, voice: caller, voiceMs: 3_000 })
    for (let at = 0; at + 160 <= 5_000 * 8; at += 160, nowMs += 20) {
      tap.frame(agent.subarray(at, at + 160), nowMs)
      ears.push(heard.subarray(at, at + 160))
    }
    const mean = (fromMs: number, toMs: number): number => {
      const some = told.filter(({ endMs }) => endMs > fromMs && endMs <= toMs)
      return some.reduce((sum, { probability }) => sum + probability, 0) / some.length
    }
    expect(mean(500, 2_900)).toBeLessThan(0.25)
    expect(mean(3_100, 4_700)).toBeGreaterThan(0.85)
  })
})
