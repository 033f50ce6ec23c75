import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openGround, type Ground } from './ground.ts'
import { SCENARIOS } from './run.ts'

/** The small size of `npm run chaos`; a failure names its seed: `npm run chaos -- <scenario> --seed N --size N`. */
const SEED = Date.now() % 1_000_000

let ground: Ground
beforeAll(async () => {
  ground = await openGround()
}, 120_000)
afterAll(() => ground?.close())

describe('nothing lost, nothing sent twice, order kept, ledger balanced', () => {
  for (const [name, { run, smallSize, missing = null }] of Object.entries(SCENARIOS)) {
    it.skipIf(missing !== null)(missing === null ? `${name} (seed ${SEED})` : `${name} (skipped: ${missing})`, { timeout: 180_000 }, async () => {
      const counts = await run(ground, smallSize, SEED)
      console.log(`${name}: ${JSON.stringify({ seed: SEED, ...counts })}`)
      expect(counts.broken).toEqual([])
      // A catastrophe that did not happen proves nothing.
      expect(counts.faults).toBeGreaterThan(0)
      expect(counts.messages).toBe(smallSize)
    })
  }
})
