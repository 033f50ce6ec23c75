import { fileURLToPath } from 'node:url'
import type { CallHandle } from '@trunkline/app-sandbox'
import { composeVoice, readEnv, type Voice } from '@trunkline/app-voice'
import { silentLogger, type CarrierId } from '@trunkline/core'
import { vi } from 'vitest'
import { wordsOf } from '../../channels/testing/speech.ts'
import { freePort, spawnNode, type SpawnedNode } from '../harness/processes.ts'
import type { Business, Json } from './business.ts'
import { openTelephone, type Telephone, type TelephoneWish } from './telephone.ts'
import { openTown, type Town } from './town.ts'

export type { Telephone } from './telephone.ts'

/** The town with a telephone exchange: carriers of the sandbox, and a voice process beside api and worker. */
export type PhoneTown = Town & {
  /** In this process; null in a town whose voices are processes of their own. */
  voice: Voice | null
  voiceUrl: string
  /** A voice that may be killed. By default at the address that carriers know. It ends with the town. */
  spawnVoice(settings?: Record<string, string>): Promise<SpawnedNode>
  /** One more voice process on the same database. */
  anotherVoice(settings?: Record<string, string>): Promise<Voice>
  /** A telephone number of this business with an agent, known to the carrier. */
  telephone(business: Business, wish?: TelephoneWish): Promise<Telephone>
  /** The phone that we ring, once it does. */
  called(carrier: CarrierId, address: string): Promise<CallHandle>
  /** A person rings the number. */
  ring(telephone: Telephone, from?: string): CallHandle
}

const VOICE = fileURLToPath(new URL('../../apps/voice/src/main.ts', import.meta.url))

export async function openPhoneTown(settings: Record<string, string> = {}, { spawned = false }: { spawned?: boolean } = {}): Promise<PhoneTown> {
  const [port, voicePort] = [await freePort(), await freePort()]
  const voiceUrl = `http://127.0.0.1:${voicePort}`
  const ports = { PORT: String(port), PUBLIC_URL: `http://127.0.0.1:${port}`, VOICE_PUBLIC_URL: voiceUrl }
  const town = await openTown({ sandbox: { speechPace: { firstSoundMs: 0, chunkMs: 20 } }, settings: { ...ports, ...settings }, carriers: true })
  const environment = { ...town.environment, DEEPGRAM_API_KEY: 'sandbox', DEEPGRAM_BASE_URL: `${town.sandbox.url}/deepgram`, ELEVENLABS_API_KEY: 'sandbox', ELEVENLABS_BASE_URL: `${town.sandbox.url}/elevenlabs` }
  const voices: Voice[] = []
  const processes: SpawnedNode[] = []
  async function anotherVoice(more: Record<string, string> = {}): Promise<Voice> {
    const voice = await composeVoice(readEnv({ ...environment, VOICE_PORT: '0', ...more }), silentLogger)
    voices.push(voice)
    return voice
  }
  async function spawnVoice(more: Record<string, string> = {}): Promise<SpawnedNode> {
    const node = spawnNode(VOICE, { ...environment, VOICE_PORT: String(voicePort), ...more })
    processes.push(node)
    await node.line(/"ready":"voice"/)
    return node
  }
  const voice = spawned ? null : await anotherVoice({ VOICE_PORT: String(voicePort) })
  await voice?.listen()
  return {
    ...town, voice, voiceUrl, anotherVoice, spawnVoice,
    telephone: (business, wish) => openTelephone(town, business, wish),
    async called(carrier, address) {
      const [row] = await town.until<{ id: string }>('SELECT carrier_call_id AS id FROM calls WHERE to_address = $1 AND carrier_call_id IS NOT NULL', [address], (rows) => rows.length > 0)
      return town.sandbox.carriers[carrier].call(row!.id)
    },
    ring: ({ carrier, address }, from = '+14155550100') => town.sandbox.carriers[carrier].ring({ from, to: address, says: [] }),
    async close() {
      await Promise.all([...voices.map((each) => each.close()), ...processes.map((each) => each.stop())])
      await town.close()
    },
  }
}

/** Tests by ear, in real time: a machine that stands still for half a second tears a word. Only what was not heard is tried again; whatever else is wrong is wrong at once. */
export const BY_EAR = { count: 2, condition: /^Not heard: / }

/** Speech that was cut goes on a little before the place where it was: the tone there is read as two of the same, "re epair". */
const mended = (words: string): string => words.replace(/(\S) \1/g, '$1')

/** Resolves when the person at the phone has heard words that fit, as they were played. */
export async function hears(phone: CallHandle, fits: RegExp): Promise<void> {
  await vi.waitFor(() => {
    const words = wordsOf(phone.agentPcm())
    if (!fits.test(words) && !fits.test(mended(words))) throw new Error(`Not heard: ${String(fits)} in "${words}"`)
  }, { timeout: 20_000, interval: 100 })
}

/** The row of the number's latest call, as the API tells it, once it is as asked. */
export async function callOf(town: Pick<Town, 'until'>, telephone: Telephone, ready: (call: Json) => boolean): Promise<Json> {
  const [row] = await town.until<{ call: Json }>('SELECT to_jsonb(c) AS call FROM calls c WHERE number_id = $1 ORDER BY id DESC LIMIT 1', [telephone.id], ([found]) => found !== undefined && ready(found.call))
  return row!.call
}

/** Resolves when so many things that were said in the number's calls are kept: what was heard of ours is known a moment after it was heard. */
export async function kept(town: Pick<Town, 'until'>, telephone: Telephone, count: number): Promise<void> {
  await town.until('SELECT 1 FROM messages WHERE number_id = $1', [telephone.id], (rows) => rows.length >= count)
}
