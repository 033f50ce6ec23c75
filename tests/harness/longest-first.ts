import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** Files that take minutes. Begun last, one of them would go on alone when all others are done. */
const LONG = [
  'tests/chaos/chaos.test.ts', 'tests/flow/phone-faults.test.ts', 'tests/flow/transfers.test.ts', 'tests/flow/calls-api.test.ts', 'tests/flow/warm-transfers.test.ts',
  'apps/standalone/src/standalone.test.ts', 'tests/flow/supervision.test.ts', 'tests/flow/simulations.test.ts', 'tests/flow/texml.test.ts',
]

/** Those first, in this order; then as vitest would have it. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const place = ({ moduleId }: TestSpecification): number => {
      const at = LONG.findIndex((name) => moduleId.endsWith(name))
      return at < 0 ? LONG.length : at
    }
    return (await super.sort(files)).toSorted((one, other) => place(one) - place(other))
  }
}
