import { wait } from '../models/pace.ts'
import type { Outlet } from './outlet.ts'
import type { Speech } from './voice.ts'
import type { SpeechPace } from './world.ts'

/** A piece of speech: its samples, where it lies, and the characters that begin in it. */
export type SpeechPiece = { pcm: Int16Array; startMs: number; endMs: number; charFrom: number; charTo: number }

/** Cut as a supplier cuts it. Every character is in exactly one piece: that in which it begins, the last ones in the last. */
export function* piecesOf(speech: Speech, sampleRateHz: number, chunkMs: number): Generator<SpeechPiece> {
  const size = Math.max(1, Math.round((chunkMs / 1_000) * sampleRateHz))
  let charFrom = 0
  for (let at = 0; at < speech.pcm.length; at += size) {
    const pcm = speech.pcm.subarray(at, at + size)
    const [startMs, endMs] = [(at / sampleRateHz) * 1_000, ((at + pcm.length) / sampleRateHz) * 1_000]
    const untilMs = at + size >= speech.pcm.length ? Infinity : endMs
    let charTo = charFrom
    while (charTo < speech.charStartMs.length && speech.charStartMs[charTo]! < untilMs) charTo++
    yield { pcm, startMs, endMs, charFrom, charTo }
    charFrom = charTo
  }
}

/** Sends each piece at the supplier's pace, until all is said or the outlet was silenced. */
export async function sendPaced(speech: Speech, sampleRateHz: number, pace: SpeechPace, outlet: Outlet, write: (piece: SpeechPiece) => void): Promise<void> {
  await wait(pace.firstSoundMs)
  for (const piece of piecesOf(speech, sampleRateHz, pace.chunkMs)) {
    if (outlet.silent) return
    write(piece)
    await wait(pace.perChunkMs)
  }
}
