import { auth } from './auth/index.ts'
import type { Bench } from './bench.ts'
import { ingest } from './ingest/index.ts'

export const benches: readonly Bench[] = [ingest, auth]
