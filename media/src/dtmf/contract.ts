/** The sixteen keys, and their tones: rows by the low group, columns by the high one (ITU-T Q.23 §2). */
export const LOW_HZ = [697, 770, 852, 941] as const
export const HIGH_HZ = [1_209, 1_336, 1_477, 1_633] as const
const ROWS = ['123A', '456B', '789C', '*0#D'] as const

export type DtmfDigit = '0' | '1' | '2' | '3' | '4' | '5' | '6' | '7' | '8' | '9' | 'A' | 'B' | 'C' | 'D' | '*' | '#'

export const digitAt = (row: number, column: number): DtmfDigit => ROWS[row]![column] as DtmfDigit

/** Low and high frequency of a key; null for what is no key. */
export function tonesOf(digit: string): { lowHz: number; highHz: number } | null {
  const row = ROWS.findIndex((keys) => digit.length === 1 && keys.includes(digit))
  return row < 0 ? null : { lowHz: LOW_HZ[row]!, highHz: HIGH_HZ[ROWS[row]!.indexOf(digit)]! }
}
