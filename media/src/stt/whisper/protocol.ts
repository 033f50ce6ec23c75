import type { Pcm } from '../../frame.ts'
import type { SpeechFailureCode, WordTime } from '../contract.ts'
import type { Device, Precision } from './model.ts'

/** What we and the thread that computes tell each other. `pcm` at 16 kHz, 30 s at most; it travels without being copied. */
export type ModelChoice = { path: string; device: Device; precision: Precision }
export type Ask = { id: number; type: 'hear'; model: ModelChoice; pcm: Pcm; language: string | null } | { id: number; type: 'load'; model: ModelChoice } | { id: number; type: 'cancel' }
export type Words = { text: string; words: WordTime[]; language: string | null; confidence: number | null }
export type Reply = { id: number } & ({ type: 'loaded'; device: Device } | { type: 'heard'; heard: Words } | { type: 'failed'; code: SpeechFailureCode; message: string })
