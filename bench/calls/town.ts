import { mediaPath, mediaToken } from '@trunkline/channels'
import { newId, VoiceSettings } from '@trunkline/core'
import { calls, ledger } from '@trunkline/db'
import { untilIdle } from '../measure/process.ts'
import { startActor, type Actor } from '../stage/actor.ts'
import { makeNumbers, type BenchNumber } from '../stage/numbers.ts'
import type { Server, Stack } from '../stage/stack.ts'
import type { Found, LinesJob } from './main.ts'
import { speakQuestion } from './question.ts'
import { GREETING } from './script.ts'
import { ACCOUNT_SID, AUTH_TOKEN, callSid, signatureOf } from './twilio.ts'
import type { Notes } from './vendors/notes.ts'
import type { VendorsJob } from './vendors/main.ts'

/** One voice process with everything around it: its database, its suppliers, and callers at a carrier. Each is a process. */
export type CallTown = {
  stack: Stack
  voice: Server
  vendors: { pid: number; notes(): Promise<Notes> }
  lines: {
    pid: number
    /** So many more callers, spread over the time. */
    dial(count: number, overMs: number): Promise<void>
    find(): Promise<Found>
    /** All of them; resolves when every call is written to its end. */
    hangUp(): Promise<void>
  }
  /** Of all calls: how they ended, what went wrong in them, and whether the money adds up. */
  outcome(): Promise<Outcome>
  close(): Promise<void>
}

export type Outcome = { ended: Record<string, number>; incidents: Record<string, number>; charged: number; differences: number }
export type CallTownWish = { interruptEvery?: number; recorded?: boolean; settings?: Record<string, string> }

const HOLD_MICROS = 1_000_000n
const HOUR_MS = 3_600_000
const END_WITHIN_MS = 30_000
const WARM_WITHIN_MS = 60_000

export async function openCallTown(stack: Stack, wish: CallTownWish): Promise<CallTown> {
  const [vendors, lines] = await Promise.all([startActor(new URL('./vendors/main.ts', import.meta.url)), startActor(new URL('./main.ts', import.meta.url))])
  const close = async () => void (await Promise.all([lines.stop(), vendors.stop()]))
  try {
    return { ...(await connect(stack, vendors, lines, wish)), close }
  } catch (error) {
    await close()
    throw error
  }
}

async function connect(stack: Stack, vendors: Actor, lines: Actor, { interruptEvery = 0, recorded = false, settings = {} }: CallTownWish): Promise<Omit<CallTown, 'close'>> {
  const url = await vendors.ask<string>({ do: 'open' } satisfies VendorsJob)
  const [number] = await makeNumbers(stack.db, stack.keyring, {
    tenants: 1, perTenant: 1,
    telephone: {
      settings: VoiceSettings.parse({ carrier: 'twilio', greeting: GREETING, recording: { enabled: recorded }, concurrency_limit: 10_000, silence: { prompt_after_seconds: 30 } }),
      credentials: { account_sid: ACCOUNT_SID, auth_token: AUTH_TOKEN },
    },
  })
  const voice = await stack.voice({
    OPENAI_API_KEY: 'bench', OPENAI_BASE_URL: `${url}/v1`, DEEPGRAM_API_KEY: 'bench', DEEPGRAM_BASE_URL: url, TWILIO_URL: url, PRIVATE_ADDRESSES: new URL(url).host,
    STT_ORDER: 'deepgram', TTS_ORDER: 'openai', CALLS_MAX: '5000', DRAIN_MS: '20000', ...settings,
  })
  // It renders the messages of a new installation, and loads the detector's model.
  await untilIdle({ ...voice, tree: true }, 0.1, WARM_WITHIN_MS)
  await lines.ask({ do: 'begin', question: await speakQuestion(), interruptEvery } satisfies LinesJob)
  const place: Place = { stack, lines, voice, number: number!, dialled: 0 }
  return {
    stack, voice,
    vendors: { pid: vendors.pid, notes: () => vendors.ask<Notes>({ do: 'notes' } satisfies VendorsJob) },
    lines: {
      pid: lines.pid,
      dial: (count, overMs) => dial(place, count, overMs),
      find: () => lines.ask<Found>({ do: 'find' } satisfies LinesJob),
      hangUp: () => hangUp(place),
    },
    outcome: () => outcomeOf(stack, number!),
  }
}

type Place = { stack: Stack; lines: Actor; voice: Server; number: BenchNumber; dialled: number }

async function dial(place: Place, count: number, overMs: number): Promise<void> {
  const startedMs = performance.now()
  for (let made = 0; made < count; made++) {
    const waitMs = startedMs + (overMs * made) / count - performance.now()
    if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs))
    await dialOne(place, place.dialled++)
  }
}

/** What a carrier's webhook would have done, and then the carrier. */
async function dialOne({ stack, lines, voice, number }: Place, index: number): Promise<void> {
  const callId = newId()
  await stack.db.system('calls', (tx) =>
    calls.open(tx, {
      callId, tenantId: number.tenantId, numberId: number.id, direction: 'inbound', carrier: 'twilio', carrierCallId: callSid(index),
      from: `+1415${5_000_000 + index}`, to: number.address, contact: { identity: { kind: 'phone', value: `+1415${5_000_000 + index}` } },
      holdMicros: HOLD_MICROS, holdUntil: new Date(Date.now() + HOUR_MS), limits: { number: 10_000, tenant: 10_000 },
    }))
  const url = `${voice.url.replace(/^http/, 'ws')}${mediaPath('twilio', callId, mediaToken(stack.keyring.deriveAll('call media')[0]!, callId))}`
  await lines.ask({ do: 'dial', index, url, signature: signatureOf(url) } satisfies LinesJob)
}

async function hangUp({ stack, lines }: Place): Promise<void> {
  await lines.ask({ do: 'hang_up' } satisfies LinesJob)
  const deadlineMs = performance.now() + END_WITHIN_MS
  for (;;) {
    const { rows } = await stack.db.system('test', (tx) => tx.query<{ open: number }>('SELECT count(*)::int AS open FROM calls WHERE ended_at IS NULL'))
    if (rows[0]!.open === 0) return
    if (performance.now() > deadlineMs) throw new Error(`${rows[0]!.open} calls do not end`)
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}

async function outcomeOf({ db }: Stack, { tenantId }: BenchNumber): Promise<Outcome> {
  const count = async (statement: string) => {
    const { rows } = await db.system('test', (tx) => tx.query<{ what: string; count: number }>(statement, [tenantId]))
    return Object.fromEntries(rows.map(({ what, count: many }) => [what, many]))
  }
  const settled = await count("SELECT 'calls' AS what, count(*)::int FROM transfers WHERE tenant_id = $1 AND kind = 'settle'")
  return {
    ended: await count('SELECT end_reason AS what, count(*)::int FROM calls WHERE tenant_id = $1 GROUP BY 1'),
    incidents: await count("SELECT concat_ws(' ', data->>'stage', data->>'failure') AS what, count(*)::int FROM call_events WHERE tenant_id = $1 AND kind = 'incident' GROUP BY 1"),
    charged: settled['calls'] ?? 0,
    differences: (await db.system('ledger', (tx) => ledger.verifyLedger(tx))).differences.length,
  }
}
