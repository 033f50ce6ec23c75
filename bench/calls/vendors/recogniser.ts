import type { WebSocket } from 'ws'
import { sharedMs } from '../clock.ts'
import { keyOf, PACE, questionOf } from '../script.ts'
import { FRAME_MS, identityOf } from '../twilio.ts'
import type { Note } from './notes.ts'

/** A frame with a sample as loud as this one is speech; every so many samples are looked at. */
const LOUD = 1_500
const LOOK_EVERY_BYTES = 16
/** A shorter silence is a breath. */
const PAUSE_MS = 150
/** 20 ms at 8 kHz in 16 bits. */
const FRAME_BYTES = 320

/** One call's Deepgram socket (developers.deepgram.com/reference/speech-to-text/listen-streaming): hears when somebody speaks, and knows beforehand what. */
export class Recogniser {
  readonly #socket: WebSocket
  readonly #note: Note
  #call: number | null = null
  #question = 0
  #frames = 0
  #fromFrame = 0
  #spokeSince: number | null = null
  #loudFrame = 0
  #loudMs = 0
  #wordsTold = 0
  #wordsFinal = 0

  constructor(socket: WebSocket, note: Note) {
    this.#socket = socket
    this.#note = note
  }

  /** A message of ours: a frame of sound, or a word about it. */
  take(data: Buffer, isBinary: boolean): void {
    if (isBinary) for (let at = 0; at < data.length; at += FRAME_BYTES) this.#hear(data.subarray(at, at + FRAME_BYTES))
    else if (data.includes('"Finalize"')) setTimeout(() => this.#final(true), PACE.finalMs)
    else if (data.includes('"CloseStream"')) this.#socket.close(1000)
  }

  #hear(frame: Buffer): void {
    this.#frames += 1
    this.#call ??= identityOf(frame)
    if (isLoud(frame)) this.#loud()
    if (this.#spokeSince === null) return
    const spokenMs = (this.#frames - this.#spokeSince) * FRAME_MS
    const quietMs = (this.#frames - this.#loudFrame) * FRAME_MS
    if (quietMs >= PACE.endpointingMs) this.#final(false)
    else if (quietMs === 0 && spokenMs >= PACE.partialMs * (this.#wordsTold + 1)) this.#partial()
  }

  #loud(): void {
    this.#spokeSince ??= this.#frames
    this.#loudFrame = this.#frames
    this.#loudMs = sharedMs()
  }

  get #key(): string {
    return keyOf(this.#call!, this.#question + 1)
  }

  get #words(): string[] {
    return questionOf(this.#key).split(' ')
  }

  #partial(): void {
    this.#wordsTold += 1
    if (this.#wordsTold === 1) this.#note('words', this.#key, sharedMs())
    this.#say(this.#words.slice(this.#wordsFinal, Math.max(this.#wordsFinal, this.#wordsTold) + 1).join(' '), {})
  }

  #final(asked: boolean): void {
    if (this.#call === null) return
    const isOpen = this.#spokeSince !== null && (this.#frames - this.#loudFrame) * FRAME_MS < PAUSE_MS
    if (isOpen) this.#finalOfPart(asked)
    else this.#finalOfAll(asked)
    this.#fromFrame = this.#frames
  }

  /** Asked in the middle of a sentence: what of it was heard so far, and it goes on. */
  #finalOfPart(asked: boolean): void {
    const until = Math.min(this.#words.length - 1, Math.max(this.#wordsFinal, this.#wordsTold))
    this.#say(this.#words.slice(this.#wordsFinal, until).join(' '), { is_final: true, from_finalize: asked })
    this.#wordsFinal = until
  }

  /** Nothing was said: a final without words, as Deepgram sends one. */
  #finalOfAll(asked: boolean): void {
    const isSpoken = this.#spokeSince !== null
    if (isSpoken) {
      this.#note('heard', this.#key, this.#loudMs)
      this.#note('final', this.#key, sharedMs())
    }
    this.#say(isSpoken ? this.#words.slice(this.#wordsFinal).join(' ') : '', { is_final: true, speech_final: isSpoken, from_finalize: asked })
    if (isSpoken) this.#question += 1
    this.#spokeSince = null
    this.#wordsTold = 0
    this.#wordsFinal = 0
  }

  #say(transcript: string, flags: { is_final?: boolean; speech_final?: boolean; from_finalize?: boolean }): void {
    const [from, to] = [(this.#fromFrame * FRAME_MS) / 1_000, (this.#frames * FRAME_MS) / 1_000]
    const spoken = transcript === '' ? [] : transcript.split(' ')
    const words = spoken.map((word, at) => ({ word, start: from + ((to - from) * at) / spoken.length, end: from + ((to - from) * (at + 1)) / spoken.length, confidence: 0.98, punctuated_word: word }))
    this.#socket.send(JSON.stringify({
      type: 'Results', channel_index: [0, 1], start: from, duration: to - from, is_final: false, speech_final: false, from_finalize: false, ...flags,
      channel: { alternatives: [{ transcript, confidence: 0.98, languages: ['en'], words }] }, metadata: { request_id: `bench-${this.#call}` },
    }))
  }
}

/** The first samples say who it is. */
function isLoud(frame: Buffer): boolean {
  for (let at = LOOK_EVERY_BYTES; at + 1 < frame.length; at += LOOK_EVERY_BYTES) if (Math.abs(frame.readInt16LE(at)) > LOUD) return true
  return false
}
