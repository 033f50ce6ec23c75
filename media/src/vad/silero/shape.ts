/**
 * What one run of Silero v5 takes (snakers4/silero-vad, src/silero_vad/utils_vad.py, OnnxWrapper; the file's own inputs): `input` [rows, context +
 * window], `state` [2, rows, 128], `sr` as a scalar; out come `output` [rows, 1] and `stateN` like `state`. Rows are independent: each may be
 * another call. The context are the samples before the window; without them the model hears a click every 32 ms.
 */
export type Rate = 8_000 | 16_000
export const WINDOW_MS = 32
export const WINDOW = { 8_000: 256, 16_000: 512 } as const satisfies Record<Rate, number>
export const CONTEXT = { 8_000: 32, 16_000: 64 } as const satisfies Record<Rate, number>
/** Floats of memory in each of its two layers. */
export const CELLS = 128
const LONGEST_ROW = WINDOW[16_000] + CONTEXT[16_000]

/** Memory that our side and a thread share, for one run of `capacity` rows at most. Who has the word is settled by messages, never by this. */
export class BatchMemory {
  readonly buffer: SharedArrayBuffer
  readonly capacity: number
  /** Row after row, context and window. */
  readonly samples: Int16Array
  /** As the model wants it, for as many rows as there are: first layer of all rows, second layer of all rows. In and out. */
  readonly state: Float32Array
  readonly probabilities: Float32Array

  constructor(capacity: number, buffer: SharedArrayBuffer = new SharedArrayBuffer(capacity * (4 + 8 * CELLS + 2 * LONGEST_ROW))) {
    this.capacity = capacity
    this.buffer = buffer
    this.probabilities = new Float32Array(buffer, 0, capacity)
    this.state = new Float32Array(buffer, capacity * 4, capacity * 2 * CELLS)
    this.samples = new Int16Array(buffer, capacity * (4 + 8 * CELLS), capacity * LONGEST_ROW)
  }
}

/** What a thread is asked for. `judge` answers in the memory that came with `open`. */
export type SileroJobs = {
  open: { ask: { model: string; memory: SharedArrayBuffer; capacity: number }; answer: null }
  judge: { ask: { rateHz: Rate; rows: number }; answer: null }
}
