import type { SimulatedCaller, SpeechUsage } from '@trunkline/core'
import { atPitch, createResampler, synthesise, voiceLevel, type Pcm, type SpeechFor } from '@trunkline/media'

/** The line's rate, and one with room above the voice for another pitch. */
const LINE_HZ = 8_000
const WIDE_HZ = 24_000
/** Callers are brought to one level: what noise is measured against. 16-bit RMS, 22 dB below full scale. */
export const VOICE_RMS = 2_600
const SAY_TIMEOUT_MS = 20_000
const QUIET = 150

export type CallerVoice = { speak(text: string): Promise<Pcm> }

/** The voice of one caller, as sound of the line. What was said before is not made (and paid) again. */
export function createCallerVoice(speech: Pick<SpeechFor, 'tts'>, { engine, voice_id: voiceId, speed, pitch, language }: SimulatedCaller['voice'], onUsage: (usage: SpeechUsage) => void): CallerVoice {
  const tts = speech.tts(engine === null ? [] : [{ engine, voice_id: voiceId }], { onUsage, lastResort: 'fail' })
  const made = new Map<string, Promise<Pcm>>()
  const make = async (text: string): Promise<Pcm> => {
    const rate = pitch === 1 ? LINE_HZ : WIDE_HZ
    const own = Math.min(2, Math.max(0.5, speed / pitch))
    // The chain measures each use itself.
    const { pcm } = await synthesise(tts, text, { voice: '', speed: own, language, sampleRateHz: rate, signal: AbortSignal.timeout(SAY_TIMEOUT_MS) })
    return atLevel(trimmed(pitch === 1 ? pcm : narrowed(atPitch(pcm, pitch))))
  }
  return {
    speak(text) {
      const known = made.get(text) ?? make(text)
      made.set(text, known)
      known.catch(() => made.delete(text))
      return known
    },
  }
}

function narrowed(pcm: Pcm): Pcm {
  const resampler = createResampler({ fromHz: WIDE_HZ, toHz: LINE_HZ })
  const sound = Int16Array.from(resampler.process(pcm))
  resampler.close()
  return sound
}

/** From its first sound to its last: times are measured between them. */
function trimmed(pcm: Pcm): Pcm {
  const sounds = (sample: number) => Math.abs(sample) > QUIET
  const [first, last] = [pcm.findIndex(sounds), pcm.findLastIndex(sounds)]
  return first < 0 ? pcm.subarray(0, 0) : pcm.subarray(first, last + 1)
}

function atLevel(pcm: Pcm): Pcm {
  const level = voiceLevel(pcm, LINE_HZ)
  return level === 0 ? pcm : pcm.map((sample) => Math.max(-32_768, Math.min(32_767, Math.round((sample * VOICE_RMS) / level))))
}
