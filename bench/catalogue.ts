import { auth } from './auth/index.ts'
import { barge } from './barge/index.ts'
import type { Bench } from './bench.ts'
import { calls } from './calls/index.ts'
import { conversations } from './conversations/index.ts'
import { growth } from './growth/index.ts'
import { ingest } from './ingest/index.ts'
import { pipeline } from './pipeline/index.ts'
import { queue } from './queue/index.ts'
import { sfu } from './sfu/index.ts'
import { turn } from './turn/index.ts'
import { vad } from './vad/index.ts'

export const benches: readonly Bench[] = [ingest, pipeline, queue, auth, growth, conversations, calls, turn, barge, sfu, vad]
