import { z } from 'zod'

/** Credits are integers of one millionth (micro-credit), always bigint in code and a decimal string of micros on the wire. */
export type Micros = bigint

export const MICROS_PER_CREDIT = 1_000_000n

/** Wire form: a string of digits, so that no JSON parser rounds it. */
export const MicrosString = z.string().regex(/^-?\d{1,18}$/, 'a whole number of micro-credits, as a string')

/** `1234567n` -> `"1.234567"`, for people. */
export function formatCredits(amountMicros: Micros): string {
  const sign = amountMicros < 0n ? '-' : ''
  const abs = amountMicros < 0n ? -amountMicros : amountMicros
  const fraction = (abs % MICROS_PER_CREDIT).toString().padStart(6, '0').replace(/0+$/, '')
  return `${sign}${abs / MICROS_PER_CREDIT}${fraction === '' ? '' : `.${fraction}`}`
}
