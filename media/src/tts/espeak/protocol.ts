import type { Pcm } from '../../frame.ts'

/**
 * What we and the espeak process tell each other over its standard input and output. A frame: length of what follows (u32 LE), kind
 * (u8), job (u32 LE), payload. The process imports a library under the GPL; it shares no memory and no code with us but this file.
 */
export const KIND = { say: 1, cancel: 2, voices: 3, ready: 16, audio: 17, events: 18, done: 19, failed: 20 } as const
export type Kind = (typeof KIND)[keyof typeof KIND]
export type Frame = { kind: number; job: number; payload: Buffer }

/** `voice`: espeak's name with an optional variant (`en-us+f3`); rate in words per minute, 80 to 450; pitch and range 0 to 99; `sound` false: only its marks. */
export type SayRequest = { text: string; voice: string; rate: number; pitch: number; range: number; sound: boolean }
/** What the library tells of a text, in order: `w` word (first character from 0 and length, both in code points), `p` phoneme (empty: pause), `e` end of a clause (the first character behind it). */
export type SpeechMark = ['w', atMs: number, at: number, length: number] | ['p', atMs: number, ipa: string] | ['e', atMs: number, at: number]
export type EspeakVoice = { name: string; identifier: string; languages: { name: string; priority: number }[] }
export type FailedReply = { code: 'unsupported' | 'model_missing' | 'unavailable'; message: string }
export type ReadyReply = { sampleRateHz: number }

const HEAD = 9
/** Longer frames are no frames of ours: the stream is out of step. */
const MAX_FRAME = 16 * 1024 * 1024

export function encodeFrame(kind: Kind, job: number, payload: Uint8Array | string = ''): Buffer {
  const body = typeof payload === 'string' ? Buffer.from(payload, 'utf8') : payload
  const frame = Buffer.allocUnsafe(HEAD + body.length)
  frame.writeUInt32LE(HEAD - 4 + body.length, 0)
  frame.writeUInt8(kind, 4)
  frame.writeUInt32LE(job >>> 0, 5)
  frame.set(body, HEAD)
  return frame
}

/** Puts chunks of a stream together again. Throws RangeError when the stream cannot be ours. */
export class FrameReader {
  #chunks: Buffer[] = []
  #held = 0

  push(chunk: Buffer): Frame[] {
    this.#chunks.push(chunk)
    this.#held += chunk.length
    const frames: Frame[] = []
    for (let frame = this.#take(); frame; frame = this.#take()) frames.push(frame)
    return frames
  }

  #take(): Frame | null {
    if (this.#held < HEAD) return null
    if (this.#chunks[0]!.length < HEAD) this.#join()
    const length = this.#chunks[0]!.readUInt32LE(0) + 4
    if (length < HEAD || length > MAX_FRAME) throw new RangeError(`A frame of ${length} bytes`)
    if (this.#held < length) return null
    if (this.#chunks[0]!.length < length) this.#join()
    const all = this.#chunks[0]!
    this.#held -= length
    if (all.length === length) this.#chunks.shift()
    else this.#chunks[0] = all.subarray(length)
    return { kind: all.readUInt8(4), job: all.readUInt32LE(5), payload: all.subarray(HEAD, length) }
  }

  #join(): void {
    this.#chunks = [Buffer.concat(this.#chunks)]
  }
}

/** The host's byte order on both sides: they are one machine. Copied, because a slice of a stream may lie at an odd address. */
export function pcmOf(payload: Buffer): Pcm {
  const pcm = new Int16Array(payload.length >> 1)
  new Uint8Array(pcm.buffer).set(payload.subarray(0, pcm.byteLength))
  return pcm
}
