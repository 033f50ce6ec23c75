import { FLACDecoder } from '@wasm-audio-decoders/flac'
import { createDecoder } from 'libopus-wasm'
import type { InputAudioTrack } from 'mediabunny'
import { AudioSampleSink, EncodedPacketSink } from 'mediabunny'
import { MPEGDecoder } from 'mpg123-decoder'
import { aac, type OpenFaad } from './aac/decoder.ts'
import { SoundFileError, type Planes } from './contract.ts'

/** RFC 6716 §3.2.1: a packet holds at most 120 ms. */
const OPUS_RATE_HZ = 48_000
const OPUS_MAX_FRAME = 5_760

/** The sound of a track, piece by piece. Throws SoundFileError `unsupported` where we have no decoder. */
export function soundOf(track: InputAudioTrack, openFaad: OpenFaad): AsyncIterable<Planes> {
  const codec = track.codec ?? 'unknown'
  if (/^(pcm-|ulaw$|alaw$)/.test(codec)) return plain(track)
  if (codec === 'opus') return opus(track)
  if (codec === 'mp3') return mp3(track)
  if (codec === 'flac') return flac(track)
  if (codec === 'aac') return aac(track, openFaad)
  throw new SoundFileError('unsupported', `there is no decoder here for ${codec === 'unknown' ? 'its codec' : codec.toUpperCase()}`)
}

async function* plain(track: InputAudioTrack): AsyncGenerator<Planes> {
  for await (const sample of new AudioSampleSink(track).samples()) {
    const channels = Array.from({ length: sample.numberOfChannels }, (_, planeIndex) => {
      const plane = new Float32Array(sample.numberOfFrames)
      sample.copyTo(plane, { planeIndex, format: 'f32-planar' })
      return plane
    })
    const { sampleRate: sampleRateHz } = sample
    sample.close()
    yield { channels, sampleRateHz }
  }
}

async function* opus(track: InputAudioTrack): AsyncGenerator<Planes> {
  const channels = track.numberOfChannels
  if (channels !== 1 && channels !== 2) throw new SoundFileError('unsupported', `Opus of ${channels} channels is not read here, only one or two`)
  const decoder = await createDecoder({ channels, sampleRate: OPUS_RATE_HZ, maxFrameSize: OPUS_MAX_FRAME })
  try {
    for await (const { data } of new EncodedPacketSink(track).packets()) {
      const pcm = decoder.decode(data)
      yield { channels: Array.from({ length: channels }, (_, channel) => Float32Array.from({ length: pcm.length / channels }, (_, at) => pcm[at * channels + channel]! / 32_768)), sampleRateHz: OPUS_RATE_HZ }
    }
  } finally {
    decoder.free()
  }
}

async function* mp3(track: InputAudioTrack): AsyncGenerator<Planes> {
  const decoder = new MPEGDecoder()
  await decoder.ready
  try {
    for await (const { data } of new EncodedPacketSink(track).packets()) {
      const { channelData: channels, sampleRate: sampleRateHz } = decoder.decodeFrame(data)
      if (channels.length > 0) yield { channels, sampleRateHz }
    }
  } finally {
    decoder.free()
  }
}

async function* flac(track: InputAudioTrack): AsyncGenerator<Planes> {
  const decoder = new FLACDecoder()
  await decoder.ready
  try {
    for await (const { data } of new EncodedPacketSink(track).packets()) {
      const { channelData: channels, sampleRate: sampleRateHz } = await decoder.decodeFrames([data])
      if (channels.length > 0) yield { channels, sampleRateHz }
    }
  } finally {
    decoder.free()
  }
}
