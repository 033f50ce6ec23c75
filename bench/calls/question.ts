import { createEncoder, EspeakPool, espeakEngine, synthesise } from '@trunkline/media'
import { FRAME_BYTES, FRAME_MS } from './twilio.ts'

const TEXT = 'Please tell me now about the opening hours.'
const LOUD = 1_500
/** After the last word, so that a line goes on from silence. */
const TAIL_MS = 100

/** The caller's voice: a real one, so that whatever listens for speech hears some. Mu-law. */
export async function speakQuestion(): Promise<{ sound: Uint8Array; lastLoud: number }> {
  const pool = new EspeakPool()
  try {
    const { pcm } = await synthesise(espeakEngine({ pool }), TEXT, { voice: 'en', speed: 1, language: 'en', sampleRateHz: 8_000, signal: AbortSignal.timeout(20_000) })
    const from = pcm.findIndex((sample) => Math.abs(sample) > LOUD)
    const to = pcm.findLastIndex((sample) => Math.abs(sample) > LOUD)
    const frames = Math.ceil((to - from) / FRAME_BYTES) + TAIL_MS / FRAME_MS
    const framed = new Int16Array(frames * FRAME_BYTES)
    framed.set(pcm.subarray(from, from + framed.length))
    return { sound: createEncoder({ encoding: 'pcmu', sampleRateHz: 8_000 }).encode(framed), lastLoud: Math.floor((to - from) / FRAME_BYTES) }
  } finally {
    pool.close()
  }
}
