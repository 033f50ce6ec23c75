import { createHash, randomUUID } from 'node:crypto'
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Pcm, SampleRateHz } from '../../frame.ts'
import { telephoneSignal } from '../../hold/signals.ts'
import { wavBytes, wavPcm } from '../container.ts'
import type { TtsEngine } from '../contract.ts'
import { joinPcm, synthesise } from '../one-shot.ts'
import { MESSAGE_KEYS, messageText, type MessageKey } from './messages.ts'

export { MESSAGE_LANGUAGES, type MessageKey } from './messages.ts'

export type PrerecordedOptions = {
  /** Where the sounds are kept; made when it is not there. */
  directory: string
  /** Says them once: the embedded voice, so that nobody's licence is on them. */
  engine: TtsEngine
}

const SPEAK_TIMEOUT_MS = 20_000
const RATES_HZ: readonly SampleRateHz[] = [8_000, 24_000]

/**
 * Messages for the moment when no voice works. `prepare` makes them while all is well; `get` never fails: without a recording and without
 * a voice it answers the telephone's own sign of trouble, three rising notes.
 */
export class Prerecorded {
  readonly #options: PrerecordedOptions
  readonly #sounds = new Map<string, Promise<Pcm>>()

  constructor(options: PrerecordedOptions) {
    this.#options = options
  }

  /** At set-up: makes what is not there yet. Rejects when the voice cannot speak or the folder cannot be written. */
  async prepare(languages: readonly string[], ratesHz: readonly SampleRateHz[] = RATES_HZ): Promise<void> {
    for (const language of languages) for (const key of MESSAGE_KEYS) for (const rate of ratesHz) await this.#sound(key, language, rate)
  }

  async get(key: MessageKey, language: string | null, sampleRateHz: SampleRateHz): Promise<Pcm> {
    try {
      return await this.#sound(key, language, sampleRateHz)
    } catch {
      const period = telephoneSignal('trouble', sampleRateHz)
      return joinPcm([period, period])
    }
  }

  /** Asked for by many calls at once it is made once. A failure is forgotten. */
  #sound(key: MessageKey, wanted: string | null, sampleRateHz: SampleRateHz): Promise<Pcm> {
    const { text, language } = messageText(key, wanted)
    const name = `${language}-${key}-${sampleRateHz}-${createHash('sha256').update(text).digest('hex').slice(0, 12)}.wav`
    const known = this.#sounds.get(name)
    if (known) return known
    const sound = this.#load(name, text, language, sampleRateHz)
    this.#sounds.set(name, sound)
    sound.catch(() => this.#sounds.delete(name))
    return sound
  }

  async #load(name: string, text: string, language: string, sampleRateHz: SampleRateHz): Promise<Pcm> {
    const path = join(this.#options.directory, name)
    const found = wavPcm(await readFile(path).catch(() => new Uint8Array(0)))
    if (found && found.sampleRateHz === sampleRateHz && found.pcm.length > 0) return found.pcm
    const { pcm } = await synthesise(this.#options.engine, text, { voice: '', speed: 1, language, sampleRateHz, signal: AbortSignal.timeout(SPEAK_TIMEOUT_MS) })
    await this.#keep(path, wavBytes(pcm, sampleRateHz))
    return pcm
  }

  /** Whole or not at all, also when two processes make it at once. */
  async #keep(path: string, bytes: Uint8Array): Promise<void> {
    await mkdir(this.#options.directory, { recursive: true })
    const draft = `${path}.${randomUUID()}`
    await writeFile(draft, bytes)
    await rename(draft, path)
  }
}
