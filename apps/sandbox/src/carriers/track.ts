import { decode, frameBytes, resample, silenceByte, type LineFormat } from './format.ts'
import { wavHeader } from '../speech/sound.ts'

/** One direction of a call from its answer on, frame by frame, so that both directions stay aligned. Bounded. */
export class Track {
  readonly format: LineFormat
  readonly #frameBytes: number
  readonly #framesMax: number
  #bytes: Buffer
  #frames = 0

  constructor(format: LineFormat, keptMs: number) {
    this.format = format
    this.#frameBytes = frameBytes(format)
    this.#framesMax = Math.floor(keptMs / 20)
    this.#bytes = Buffer.alloc(0)
  }

  get frames(): number {
    return this.#frames
  }

  /** Null: silence. What comes after the limit is not kept. */
  append(frame: Buffer | null): void {
    if (this.#frames >= this.#framesMax) return
    const at = this.#frames * this.#frameBytes
    if (at + this.#frameBytes > this.#bytes.length) this.#grow()
    if (frame) frame.copy(this.#bytes, at, 0, this.#frameBytes)
    this.#frames++
  }

  pcm(): Int16Array {
    return decode(this.#bytes.subarray(0, this.#frames * this.#frameBytes), this.format)
  }

  drop(): void {
    this.#bytes = Buffer.alloc(0)
    this.#frames = 0
  }

  #grow(): void {
    const bigger = Buffer.alloc(Math.max(this.#frameBytes * 50, this.#bytes.length * 2), silenceByte(this.format))
    this.#bytes.copy(bigger)
    this.#bytes = bigger
  }
}

/** Caller left, agent right, as recordings of calls are. */
export function stereoWav(left: Track, right: Track): Buffer {
  const rate = Math.max(left.format.sampleRateHz, right.format.sampleRateHz)
  const [caller, agent] = [left, right].map((track) => resample(track.pcm(), track.format.sampleRateHz, rate)) as [Int16Array, Int16Array]
  const length = Math.max(caller.length, agent.length)
  const data = Buffer.alloc(length * 4)
  for (let index = 0; index < length; index++) {
    data.writeInt16LE(caller[index] ?? 0, index * 4)
    data.writeInt16LE(agent[index] ?? 0, index * 4 + 2)
  }
  const header = wavHeader(rate, data.length)
  header.writeUInt16LE(2, 22)
  header.writeUInt32LE(rate * 4, 28)
  header.writeUInt16LE(4, 32)
  return Buffer.concat([header, data])
}
