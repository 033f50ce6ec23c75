import { z } from 'zod'

/** What a turn will cost, kept with the turn from the answer on: a resumed turn is charged the same. Amounts are micro-credits. */
export type Charge = { usageMicros: bigint; messageMicros: bigint; lines: Record<string, unknown>[] }

const Stored = z.object({ usageMicros: z.string().regex(/^\d+$/), messageMicros: z.string().regex(/^\d+$/), lines: z.array(z.record(z.string(), z.unknown())) })

export const storeCharge = (charge: Charge): Record<string, unknown> => ({
  usageMicros: charge.usageMicros.toString(),
  messageMicros: charge.messageMicros.toString(),
  lines: charge.lines,
})

/** A turn without a stored charge was never answered: it costs nothing. */
export function readCharge(stored: unknown): Charge {
  const parsed = Stored.safeParse(stored)
  if (!parsed.success) return { usageMicros: 0n, messageMicros: 0n, lines: [] }
  return { usageMicros: BigInt(parsed.data.usageMicros), messageMicros: BigInt(parsed.data.messageMicros), lines: parsed.data.lines }
}

/** The model's work plus a fee for each bubble that the supplier took. */
export const chargeFor = (charge: Charge, accepted: number): bigint => charge.usageMicros + charge.messageMicros * BigInt(accepted)

/** The lines of a charge, the channel's fee included: they sum to `chargeFor`. */
export const linesFor = (charge: Charge, accepted: number): Record<string, unknown>[] =>
  accepted === 0 || charge.messageMicros === 0n
    ? charge.lines
    : [...charge.lines, { what: 'message', of: 'channel', quantity: accepted, amount_micros: (charge.messageMicros * BigInt(accepted)).toString() }]
