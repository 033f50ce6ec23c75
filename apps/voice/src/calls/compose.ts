import { createHttpTools, type GuardedNetwork, type VendorDirectory } from '@trunkline/agents'
import { carriers, socketUrl, type CarrierClient } from '@trunkline/channels'
import { Breakers, type CarrierId, type Clock, type Logger, type SpeechUsage, type VoiceSettings } from '@trunkline/core'
import { createFolderStore, createNumberRouting, ledger, openToolSecrets, transcriptNews, type Bell, type Cache, type Db, type EventBus, type Keyring, type Redis } from '@trunkline/db'
import { PlayoutClock, type SpeechFor, type SpeechHouse } from '@trunkline/media'
import type { IncomingMessage } from 'node:http'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import type { VoiceEnv } from '../env.ts'
import type { PlaneDoor } from '../plane.ts'
import { refuse } from '../refuse.ts'
import { Metronome } from '../simulation/metronome.ts'
import { createRunner } from '../simulation/runner.ts'
import { createCalls, type CallsDeps } from './calls.ts'
import type { CallSpeech } from './live-call.ts'
import { createRecordings } from './recordings.ts'

export type CallsParts = { env: VoiceEnv; db: Db; redis: Redis; cache: Cache; keyring: Keyring; vendors: VendorDirectory; network: GuardedNetwork; speech: SpeechHouse; bell: Bell; news: Pick<EventBus, 'publish'>; plane: PlaneDoor['open']; clock: Clock; log: Logger }

export type CallsHere = {
  /** Of the server's `upgrade` event. False: the path is none of ours, and nothing was done. */
  upgrade(request: IncomingMessage, stream: Duplex, head: Buffer): boolean
  live(): number
  /** No new calls; those that run go on for most of the drain, then they are ended and written to their end. */
  close(): Promise<void>
}

const SUPPLIER_TIMEOUT_MS = 10_000
/** Of the drain: what is left to end the calls that still run. */
const LAST_WORDS_MS = 5_000

/** The phone calls of this process, with all that they need. */
export function composeCalls({ env, db, redis, cache, keyring, vendors, network, speech, bell, news, plane, clock, log }: CallsParts): CallsHere {
  const balances = ledger.createBalances(db, cache)
  const wheel = new PlayoutClock()
  const carrierClients = carrierClientsOf(env)
  const deps: CallsDeps = {
    db, keyring, clock, log, bell, wheel, plane, carrierClients, breakers: new Breakers(clock),
    tools: createHttpTools({ network, clock, secrets: async (tenantId, name) => (await db.tenant(tenantId, (tx) => openToolSecrets(tx, keyring, tenantId)))[name] ?? null }),
    vendors: (vendor, tenantId) => vendors.find(vendor, tenantId),
    routing: createNumberRouting({ db, redis, cache, keyring, clock }),
    recordings: createRecordings({ db, store: createFolderStore(env.MEDIA_DIR), folder: join(env.MEDIA_DIR, 'calls'), log }),
    mediaKeys: keyring.deriveAll('call media'),
    addresses: { publicUrl: env.PUBLIC_URL, mediaUrl: socketUrl(env.VOICE_PUBLIC_URL), mediaKey: keyring.derive('call media') },
    leadIdleMs: env.LEAD_QUIET_MS,
    callsMax: env.CALLS_MAX,
    leaseMs: env.CALL_LEASE_MS,
    async speechFor(tenantId) {
      const theirs = await speech.forTenant(tenantId)
      return (voice, onUsage) => speechFor(speech, theirs, voice, onUsage)
    },
    onSaying: (call, saying) => news.publish(call.tenantId, [transcriptNews(call, saying)]),
    onCharged: (tenantId) => void balances.changed([tenantId]).catch(() => {}),
  }
  const calls = createCalls(deps)
  const simulations = createRunner({ ...deps, speech, calls, metronome: new Metronome(), tenantCallsMax: env.TENANT_CALLS_MAX })
  return {
    upgrade(request, stream, head) {
      if (!(request.url ?? '').startsWith('/v1/media/')) return false
      calls.upgrade(request, stream, head).catch((error: unknown) => refuse(stream, error, log))
      return true
    },
    live: () => calls.live(),
    async close() {
      await simulations.close()
      await calls.close(Math.max(0, env.DRAIN_MS - LAST_WORDS_MS))
      await Promise.all(Object.values(carrierClients).map((client) => client.close()))
      wheel.close()
    },
  }
}

/** Without an address of their own: the carriers' hosts. */
function carrierClientsOf(env: VoiceEnv): Record<CarrierId, CarrierClient> {
  const client = (id: CarrierId, baseUrl: string | undefined) => carriers[id].client({ baseUrl: baseUrl ?? null, timeoutMs: SUPPLIER_TIMEOUT_MS })
  return { twilio: client('twilio', env.TWILIO_URL), telnyx: client('telnyx', env.TELNYX_URL) }
}

/** Who hears and speaks in one call, by its number's settings. Null: nobody here can hear. */
function speechFor({ vad, smartTurn }: SpeechHouse, speech: SpeechFor, { stt: ears, tts: voices }: VoiceSettings['voice'], onUsage: (usage: SpeechUsage) => void): CallSpeech | null {
  const stt = speech.stt(ears, { onUsage })
  if (!stt) return null
  const all = speech.engines()
  const among = <Info extends { engine: string }>(engines: Info[], names: readonly string[]): Info[] => (names.length > 0 ? engines.filter(({ engine }) => names.includes(engine)) : engines)
  return { vad, smartTurn, stt, tts: speech.tts(voices, { onUsage }), engines: { stt: among(all.stt, ears), tts: among(all.tts, voices.map(({ engine }) => engine)) } }
}
