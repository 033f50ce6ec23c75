import { registerAacEncoder } from '@mediabunny/aac-encoder'
import { AppError } from '@trunkline/core'
import { AdtsOutputFormat, AudioSample, AudioSampleSource, Output, StreamTarget } from 'mediabunny'
import type { Pcm, SampleRateHz } from '../../frame.ts'

/** Transparent for one voice, as MP3's here. */
const BITRATE_BPS = 64_000
/** Each encoder has a thread of its own. */
const AT_ONCE_MAX = 16
const RETRY_MS = 2_000

let isRegistered = false
let open = 0

/** AAC-LC in ADTS, which can be played as it comes: what OpenAI's `aac` is. Rejects with AppError `unavailable` when too many are being made. */
export async function openAac(sampleRateHz: SampleRateHz): Promise<{ write(pcm: Pcm): Promise<Uint8Array>; end(): Promise<Uint8Array>; close(): void }> {
  if (open >= AT_ONCE_MAX) throw new AppError('unavailable', { message: 'Too much AAC is being made here at the moment.', retryAfterMs: RETRY_MS })
  open++
  if (!isRegistered) registerAacEncoder()
  isRegistered = true
  const made: Uint8Array[] = []
  const target = new StreamTarget(new WritableStream({ write: ({ data }) => void made.push(data) }))
  const output = new Output({ format: new AdtsOutputFormat(), target })
  const source = new AudioSampleSource({ codec: 'aac', bitrate: BITRATE_BPS })
  output.addAudioTrack(source)
  let samples = 0
  let isOver = false
  const taken = () => Buffer.concat(made.splice(0))
  const leave = () => {
    if (isOver) return
    isOver = true
    open--
  }
  await output.start()
  return {
    async write(pcm) {
      const sample = new AudioSample({ data: pcm, format: 's16', numberOfChannels: 1, sampleRate: sampleRateHz, timestamp: samples / sampleRateHz })
      samples += pcm.length
      await source.add(sample)
      sample.close()
      return taken()
    },
    async end() {
      await output.finalize()
      leave()
      return taken()
    },
    close() {
      if (isOver) return
      leave()
      void output.cancel().catch(() => {})
    },
  }
}
