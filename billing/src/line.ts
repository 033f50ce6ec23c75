import type { Micros } from '@trunkline/core'

export type LineKind = 'input_tokens' | 'cached_input_tokens' | 'output_tokens' | 'rules_answer' | 'message' | 'template' | 'lead' | 'call_seconds' | 'stt_milliseconds' | 'tts_characters'

/** `amountMicros` = `quantity` * `unitMicros` / `per`, rounded up. `of` says which model, engine, channel or carrier. */
export type ChargeLine = { what: LineKind; of: string; quantity: number; per: number; unitMicros: Micros; amountMicros: Micros }

export const MILLION = 1_000_000

export function line(what: LineKind, of: string, quantity: number, unitMicros: Micros, per = 1): ChargeLine {
  const divisor = BigInt(per)
  return { what, of, quantity, per, unitMicros, amountMicros: (BigInt(quantity) * unitMicros + divisor - 1n) / divisor }
}

export const sum = (lines: readonly ChargeLine[]): Micros => lines.reduce((total, each) => total + each.amountMicros, 0n)
