import type { Pcm } from '../../frame.ts'
import type { WordTime } from '../contract.ts'
import { transcribeGreedily } from './greedy.ts'
import type { Piece } from './greedy.ts'
import { WHISPER_RATE_HZ } from './mel.ts'
import type { WhisperModel } from './model.ts'
import type { Words } from './protocol.ts'

/** Whisper invents words for noise, and says itself that there was no speech (openai/whisper, transcribe.py: no_speech_threshold). */
const NO_SPEECH = 0.6
const UNSURE = Math.exp(-1)

/** One recording of 30 s at most, at 16 kHz. `check` throws when it was called off. */
export async function hear(model: WhisperModel, pcm: Pcm, language: string | null, check: () => void): Promise<Words> {
  const soundMs = (pcm.length / WHISPER_RATE_HZ) * 1_000
  const sound = await model.encode(model.mel.features(pcm))
  check()
  const heard = await transcribeGreedily(() => model.decoder(sound), model.prompt(language), model.rules, soundMs, check)
  const isNoise = heard.noSpeech > NO_SPEECH && (heard.confidence ?? 0) < UNSURE
  if (isNoise || heard.pieces.length === 0) return { text: '', words: [], language: heard.language, confidence: heard.confidence }
  const words = heard.pieces.flatMap((piece) => wordsOf(model, piece))
  return { text: words.map(({ text }) => text).join(' '), words, language: heard.language, confidence: heard.confidence }
}

/** Times within a piece follow from the length of the words: exports without attention tell no more. */
function wordsOf(model: WhisperModel, { tokens, startMs, endMs, logprob }: Piece): WordTime[] {
  const texts = model.vocabulary.text(tokens).split(/\s+/).filter((text) => text !== '')
  const length = texts.reduce((sum, text) => sum + text.length + 1, 0)
  const confidence = Math.exp(logprob / tokens.length)
  let at = 0
  return texts.map((text) => {
    const from = startMs + ((endMs - startMs) * at) / length
    at += text.length + 1
    return { text, startMs: from, endMs: startMs + ((endMs - startMs) * at) / length, confidence }
  })
}
