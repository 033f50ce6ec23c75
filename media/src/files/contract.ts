import type { MessagePort } from 'node:worker_threads'
import type { Pcm } from '../frame.ts'

/** The rate that recognisers work at: what is decoded for them has it. */
export const DECODED_RATE_HZ = 16_000

/** What people upload, and we can hear. MP4 and Matroska are boxes: what lies in them has to be one of the codecs. */
export const READABLE = { containers: ['wav', 'mp3', 'ogg', 'webm', 'flac', 'mp4', 'aac'], codecs: ['PCM', 'G.711', 'MP3', 'Opus', 'FLAC', 'AAC'] } as const

/** One channel, 16 kHz. */
export type DecodedFile = { pcm: Pcm; durationMs: number; container: string; codec: string }

/** `unreadable`: no file of sound that we know, or a broken one. `unsupported`: known, and we have no decoder. */
export type FileFault = 'unreadable' | 'unsupported' | 'no_audio' | 'too_long'

export class SoundFileError extends Error {
  readonly fault: FileFault

  constructor(fault: FileFault, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'SoundFileError'
    this.fault = fault
  }
}

/** Planes of equal length, -1 to 1. Valid until the next is asked for. */
export type Planes = { channels: readonly Float32Array[]; sampleRateHz: number }

/** To and from the thread that decodes. */
export type DecodeAsk = { bytes: Uint8Array<ArrayBuffer>; maxMs: number }
/** `faad`: the thread wants a process at the other end of this port; it ends with the thread. */
export type DecodeReply = { type: 'faad'; port: MessagePort } | DecodeEnd
export type DecodeEnd = { type: 'decoded'; file: DecodedFile } | { type: 'failed'; fault: FileFault; message: string }
