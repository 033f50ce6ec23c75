import { toAlaw, toLinear16, toMulaw } from '../sound.ts'

export type ElevenFormat = { sampleRateHz: number; encode: (pcm: Int16Array) => Buffer; contentType: string }

/** `output_format`: `pcm_RATE`, `ulaw_8000`, `alaw_8000`. mp3 and opus exist there and not here. Default there: mp3_44100_128. */
export function formatOf(name: string | undefined): ElevenFormat | { error: string } {
  const rate = Number(/^pcm_(8000|16000|22050|24000|44100|48000)$/.exec(name ?? '')?.[1] ?? 0)
  if (rate > 0) return { sampleRateHz: rate, encode: toLinear16, contentType: `audio/pcm;rate=${rate}` }
  if (name === 'ulaw_8000') return { sampleRateHz: 8_000, encode: toMulaw, contentType: 'audio/basic' }
  if (name === 'alaw_8000') return { sampleRateHz: 8_000, encode: toAlaw, contentType: 'audio/x-alaw-basic' }
  return { error: `The sandbox speaks pcm_*, ulaw_8000 and alaw_8000, not ${name ?? 'mp3_44100_128 (the default)'}` }
}
