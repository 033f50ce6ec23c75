/**
 * The sandbox's alphabet of sound. Every UTF-8 byte of a word is one chord of a low and a high tone (16 x 16, the idea of DTMF), so that
 * what the sandbox's voices say can be read back from real audio: after resampling, mu-law at 8 kHz, another volume, a mixer.
 * A word ends with a check chord; a word that lost a frame is noticed.
 */
export const LOW_TONES_HZ = Array.from({ length: 16 }, (_, index) => 400 + 56 * index)
/** The lowest high tone is 320 Hz above the highest low one: their beat is too quick to look like a gap. All of it passes a telephone. */
export const HIGH_TONES_HZ = Array.from({ length: 16 }, (_, index) => 1_560 + 115 * index)

/** At speed 1. Between two chords of a word `GAP_MS`, between words `WORD_GAP_MS`, after a sentence `SENTENCE_GAP_MS`. */
export const CHORD_MS = 40
export const GAP_MS = 16
export const WORD_GAP_MS = 90
export const SENTENCE_GAP_MS = 240
/** A silence longer than this ends a word, at any speed from 0.5 (gap 32 ms) to 2 (gap between words 45 ms). */
export const WORD_END_MS = 38

/** CRC-8, polynomial 0x07 (as ATM's header check, ITU-T I.432.1), started at 0x5a so that silence is not valid. */
export function checkByte(bytes: ArrayLike<number>): number {
  let crc = 0x5a
  for (let index = 0; index < bytes.length; index++) {
    crc ^= bytes[index]!
    for (let bit = 0; bit < 8; bit++) crc = crc & 0x80 ? ((crc << 1) ^ 0x07) & 0xff : crc << 1
  }
  return crc
}
