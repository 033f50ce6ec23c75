import { SpeechScript } from './script.ts'

/** How quick the speech suppliers are; may change while they run. */
export type SpeechPace = {
  /** From the request (or the first text) to the first sound. */
  firstSoundMs: number
  /** Sound leaves in pieces of this length, */
  chunkMs: number
  /** and so long after one another. */
  perChunkMs: number
  /** From the end of an utterance (or `Finalize`) to its final words. */
  finalMs: number
}

export type SpeechWorld = { script: SpeechScript; pace: SpeechPace; reset(): void }

export const speechPace: SpeechPace = { firstSoundMs: 10, chunkMs: 100, perChunkMs: 0, finalMs: 0 }

export function createSpeechWorld(pace: Partial<SpeechPace> = {}): SpeechWorld {
  const script = new SpeechScript()
  return { script, pace: { ...speechPace, ...pace }, reset: () => script.clear() }
}
