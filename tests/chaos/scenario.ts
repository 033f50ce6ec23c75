import type { Ground } from './ground.ts'
import type { Verdict } from './verdict.ts'

/** One catastrophe: how often it struck, what came of it. `broken` must be empty. */
export type Counts = Verdict & { posts: number; faults: number; tookMs: number }
/** Of what is no letter; the table of chaos has columns for letters. */
export const NO_LETTERS = { posts: 0, turns: 0, sent: 0, unknown: 0, failed: 0, resent: 0, parked: 0, onceUnknown: 0, acceptedBySupplier: 0, receiptsRead: 0 }
export type Scenario = (ground: Ground, size: number, seed: number) => Promise<Counts>
