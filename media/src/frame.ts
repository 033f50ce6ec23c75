/** Mono sound: signed 16-bit samples. Frames of a live call are 20 ms long; buffers of speech engines may have any length. */
export type Pcm = Int16Array

export const FRAME_MS = 20

/** Rates that the house speaks. Engines with another rate resample inside their folder. */
export type SampleRateHz = 8_000 | 16_000 | 24_000 | 48_000

export const frameSamples = (sampleRateHz: SampleRateHz): number => (sampleRateHz / 1_000) * FRAME_MS
export const durationMs = (pcm: Pcm, sampleRateHz: number): number => (pcm.length / sampleRateHz) * 1_000

/** How sound is written on a wire. `pcm_s16be` is L16 in network order (RFC 3551 §4.5.11). */
export type Encoding = 'pcmu' | 'pcma' | 'pcm_s16le' | 'pcm_s16be' | 'opus'
export type AudioFormat = { encoding: Encoding; sampleRateHz: SampleRateHz }
