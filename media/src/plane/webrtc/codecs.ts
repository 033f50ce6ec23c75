import type { Encoding, SampleRateHz } from '../../frame.ts'

/** What we speak with browsers. Each of them has Opus and G.711 (RFC 7874 §3). */
export type WebRtcCodec = 'opus' | 'pcmu' | 'pcma'

export type CodecTraits = {
  encoding: Encoding
  mimeType: string
  /** As in a=rtpmap, upper and lower case alike. */
  rtpmap: string
  /** RTP's clock; Opus has 48,000 whatever it is decoded to (RFC 7587 §4.1). */
  clockRateHz: number
  channels: number
  /** Payload type that needs no a=rtpmap (RFC 3551 §6). */
  staticPayloadType: number | null
}

export const CODECS: Record<WebRtcCodec, CodecTraits> = {
  opus: { encoding: 'opus', mimeType: 'audio/opus', rtpmap: 'opus/48000/2', clockRateHz: 48_000, channels: 2, staticPayloadType: null },
  pcmu: { encoding: 'pcmu', mimeType: 'audio/PCMU', rtpmap: 'PCMU/8000', clockRateHz: 8_000, channels: 1, staticPayloadType: 0 },
  pcma: { encoding: 'pcma', mimeType: 'audio/PCMA', rtpmap: 'PCMA/8000', clockRateHz: 8_000, channels: 1, staticPayloadType: 8 },
}

/** Opus may be decoded to any rate of the house; 24,000 holds all of a voice and is what speech engines speak. */
export const OPUS_RATE_HZ: SampleRateHz = 24_000

export const sampleRateOf = (codec: WebRtcCodec): SampleRateHz => (codec === 'opus' ? OPUS_RATE_HZ : 8_000)
