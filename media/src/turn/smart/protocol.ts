import type { Pcm } from '../../frame.ts'

export type SmartTurnRate = 8_000 | 16_000
/** What the thread is asked for; a judgement is a probability from 0 to 1. */
export type SmartTurnJobs = {
  load: { ask: { model: string }; answer: null }
  judge: { ask: { model: string; pcm: Pcm; rateHz: SmartTurnRate }; answer: number }
}
