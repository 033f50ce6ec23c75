import type { Bench } from './bench.ts'
import { ingest } from './ingest/index.ts'
import { pipeline } from './pipeline/index.ts'

export const benches: readonly Bench[] = [ingest, pipeline]
