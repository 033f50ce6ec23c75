import type { Ground } from './ground.ts'
import type { Verdict } from './verdict.ts'

/** One catastrophe: how often it struck, what came of it. `broken` must be empty. */
export type Counts = Verdict & { posts: number; faults: number; tookMs: number }
export type Scenario = (ground: Ground, size: number, seed: number) => Promise<Counts>
