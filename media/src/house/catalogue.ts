import type { Clock, Logger } from '@trunkline/core'
import type { TtsEngine, Voice } from '../tts/contract.ts'
import type { TtsName, VoiceInfo } from './contract.ts'

const FRESH_MS = 600_000
/** After a failure the supplier is left alone for so long: a call waits for its list but once. */
const AGAIN_AFTER_MS = 30_000
const DEADLINE_MS = 5_000

const ANY_SPEED = { min: 0.5, max: 2 }
/** ElevenLabs refuses others (API reference, voice settings). */
const SPEEDS: Partial<Record<TtsName, VoiceInfo['speed']>> = { elevenlabs: { min: 0.7, max: 1.2 } }

type Entry = { voices: readonly Voice[]; askAgainAtMs: number; asking: Promise<readonly Voice[]> | null }

/** The lists of voices of all engines, asked for once by however many want them. */
export class VoiceCatalogue {
  readonly #engines: ReadonlyMap<TtsName, TtsEngine>
  readonly #deps: { clock: Clock; log: Logger }
  readonly #entries = new Map<TtsName, Entry>()

  constructor(engines: ReadonlyMap<TtsName, TtsEngine>, deps: { clock: Clock; log: Logger }) {
    this.#engines = engines
    this.#deps = deps
  }

  /** What is known without asking; null: nothing yet, and it is worth asking. */
  known(name: TtsName): readonly Voice[] | null {
    const entry = this.#entries.get(name)
    return entry && (entry.voices.length > 0 || this.#deps.clock.nowMs() < entry.askAgainAtMs) ? entry.voices : null
  }

  /** Never rejects: an engine that does not answer has the voices it had. */
  async of(name: TtsName): Promise<readonly Voice[]> {
    const entry = this.#entries.get(name) ?? { voices: [], askAgainAtMs: 0, asking: null }
    this.#entries.set(name, entry)
    if (this.#deps.clock.nowMs() < entry.askAgainAtMs) return entry.voices
    entry.asking ??= this.#ask(name, entry).finally(() => (entry.asking = null))
    return entry.asking
  }

  async all(): Promise<VoiceInfo[]> {
    const lists = await Promise.all([...this.#engines.keys()].map(async (engine) => (await this.of(engine)).map((voice) => ({ ...voice, engine, speed: SPEEDS[engine] ?? ANY_SPEED }))))
    return lists.flat()
  }

  async #ask(name: TtsName, entry: Entry): Promise<readonly Voice[]> {
    const { clock, log } = this.#deps
    try {
      entry.voices = (await this.#engines.get(name)?.voices(AbortSignal.timeout(DEADLINE_MS))) ?? []
      entry.askAgainAtMs = clock.nowMs() + FRESH_MS
    } catch (error) {
      log.warn({ engine: name, error }, 'an engine does not tell its voices')
      entry.askAgainAtMs = clock.nowMs() + AGAIN_AFTER_MS
    }
    return entry.voices
  }
}
