import type { Pcm } from '../../frame.ts'
import type { Device } from '../../onnx/session.ts'
import type { WordTime } from '../contract.ts'
import type { Precision } from './model.ts'

export type ModelChoice = { path: string; device: Device; precision: Precision }
export type Words = { text: string; words: WordTime[]; language: string | null; confidence: number | null }
/** What the thread that computes is asked for. `pcm` at 16 kHz, 30 s at most; it travels without being copied. */
export type WhisperJobs = {
  load: { ask: ModelChoice; answer: Device }
  hear: { ask: { model: ModelChoice; pcm: Pcm; language: string | null }; answer: Words }
}
