import { ADTS, BufferSource, FLAC, Input, MATROSKA, MP3, MP4, OGG, QTFF, WAVE, WEBM, type InputAudioTrack } from 'mediabunny'
import type { Pcm } from '../frame.ts'
import type { OpenFaad } from './aac/decoder.ts'
import { createResampler, type Resampler } from '../resample/resampler.ts'
import { joinPcm } from '../tts/one-shot.ts'
import { DECODED_RATE_HZ, SoundFileError, type DecodedFile, type Planes } from './contract.ts'
import { soundOf } from './decoders.ts'

/** All that is one file: lists of streams (HLS) would make us fetch what a stranger names. */
const FORMATS = [WAVE, MP3, OGG, WEBM, MATROSKA, FLAC, MP4, QTFF, ADTS]
/** What a codec may claim: an attacker's 4 GHz would reserve the memory of it. */
const RATE_MIN_HZ = 4_000
const RATE_MAX_HZ = 384_000

/**
 * A file's sound as one channel of 16 kHz. Slow, and the bytes are a stranger's: runs on a thread of its own (`worker.ts`). `maxMs`: longer ones are
 * refused as soon as that is known. `openFaad`: the way to a process for what is not decoded in ours. Rejects with a SoundFileError.
 */
export async function decodeFile(bytes: Uint8Array<ArrayBuffer>, maxMs: number, openFaad: OpenFaad): Promise<DecodedFile> {
  const input = new Input({ source: new BufferSource(bytes), formats: FORMATS })
  try {
    const { container, track } = await opened(input)
    const pcm = await monoOf(soundOf(track, openFaad), maxMs)
    if (pcm.length === 0) throw new SoundFileError('no_audio', 'there is no sound in it')
    return { pcm, durationMs: (pcm.length / DECODED_RATE_HZ) * 1_000, container, codec: track.codec ?? 'unknown' }
  } catch (error) {
    throw error instanceof SoundFileError ? error : new SoundFileError('unreadable', 'it is no file of sound that we know, or it is damaged', { cause: error })
  } finally {
    input.dispose()
  }
}

async function opened(input: Input): Promise<{ container: string; track: InputAudioTrack }> {
  if (!(await input.canRead())) throw new SoundFileError('unreadable', 'it is no file of sound that we know')
  const container = (await input.getFormat()).name.toLowerCase()
  const track = await input.getPrimaryAudioTrack()
  if (!track) throw new SoundFileError('no_audio', 'there is no track of sound in it')
  return { container, track }
}

async function monoOf(sound: AsyncIterable<Planes>, maxMs: number): Promise<Pcm> {
  const parts: Pcm[] = []
  let resampler: Resampler | null = null
  let rateHz = 0
  let ms = 0
  const close = () => {
    if (resampler) parts.push(resampler.flush())
    resampler?.close()
    resampler = null
  }
  try {
    for await (const { channels, sampleRateHz } of sound) {
      if (sampleRateHz !== rateHz) {
        close()
        rateHz = checkedRate(sampleRateHz)
        resampler = createResampler({ fromHz: rateHz, toHz: DECODED_RATE_HZ, aligned: true })
      }
      const mono = mixed(channels)
      ms += (mono.length / rateHz) * 1_000
      if (ms > maxMs) throw new SoundFileError('too_long', `it is longer than ${Math.floor(maxMs / 1_000)} seconds`)
      parts.push(resampler!.process(mono))
    }
  } finally {
    close()
  }
  return joinPcm(parts)
}

function checkedRate(rateHz: number): number {
  if (Number.isInteger(rateHz) && rateHz >= RATE_MIN_HZ && rateHz <= RATE_MAX_HZ) return rateHz
  throw new SoundFileError('unsupported', 'its sampling rate is not one that we read')
}

/** The mean of all channels: a speaker on one side only is heard at half. */
function mixed(channels: readonly Float32Array[]): Pcm {
  const [first] = channels
  const out = new Int16Array(first?.length ?? 0)
  const gain = 32_767 / channels.length
  for (let at = 0; at < out.length; at++) {
    let sum = 0
    for (const plane of channels) sum += plane[at] ?? 0
    out[at] = Math.max(-32_768, Math.min(32_767, Math.round(sum * gain)))
  }
  return out
}
