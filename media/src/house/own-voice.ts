import type { SpeechUsage } from '../stt/contract.ts'
import type { TtsEngine, TtsEvent, TtsOptions, TtsStream, Voice } from '../tts/contract.ts'
import type { TtsName } from './contract.ts'

/** `VoiceCatalogue`'s part that is asked here. */
export type KnownVoices = { known(name: TtsName): readonly Voice[] | null; of(name: TtsName): Promise<readonly Voice[]> }

/** These have no voice that they would take by themselves. */
const NEED_A_VOICE: ReadonlySet<TtsName> = new Set(['elevenlabs', 'piper'])

/**
 * An engine that may be asked for a voice of another, or for none: it takes its own of the language then. So one name can be asked of a whole
 * chain, and a stand-in speaks the caller's language.
 */
export function withOwnVoice(name: TtsName, engine: TtsEngine, catalogue: KnownVoices): TtsEngine {
  const open = (options: TtsOptions, voices: readonly Voice[]) => engine.speak({ ...options, voice: ownVoice(name, voices, options) })
  return {
    id: engine.id,
    // A tenant's engine is another when its key is.
    get model() { return engine.model },
    get account() { return engine.account },
    voices: (signal) => engine.voices(signal),
    speak(options) {
      const known = catalogue.known(name)
      return known ? open(options, known) : new LateStream(engine, catalogue.of(name).then((voices) => () => open(options, voices)))
    },
  }
}

export function ownVoice(name: TtsName, voices: readonly Voice[], { voice, language }: Pick<TtsOptions, 'voice' | 'language'>): string {
  // `en-us+f3`, `libritts#12`: a variant, or a speaker, of a voice in the list.
  const base = voice.split(/[+#]/, 1)[0]
  if (voice !== '' && voices.some(({ id }) => id === voice || id === base)) return voice
  // espeak is asked by language and knows more of them than it has voices listed.
  if (name === 'espeak') return ''
  return bestOf(voices, language)?.id ?? (NEED_A_VOICE.has(name) ? (voices[0]?.id ?? voice) : '')
}

/** Of the very dialect, else of the language, else of all languages. */
function bestOf(voices: readonly Voice[], language: string | null): Voice | undefined {
  if (language === null) return undefined
  const wanted = language.toLowerCase()
  const base = wanted.split('-', 1)[0]
  const tag = (voice: Voice) => voice.language.toLowerCase()
  return voices.find((voice) => tag(voice) === wanted) ?? voices.find((voice) => tag(voice).split('-', 1)[0] === base) ?? voices.find((voice) => voice.language === 'mul')
}

/** An utterance whose voice is still being looked up. Its text waits; called off before that, nothing is asked of the engine. */
class LateStream implements TtsStream {
  readonly events: AsyncIterable<TtsEvent>
  readonly #engine: TtsEngine
  #inner: TtsStream | null = null
  #text = ''
  #ended = false
  #closed = false

  constructor(engine: TtsEngine, ready: Promise<() => TtsStream>) {
    this.#engine = engine
    this.events = this.#run(ready.then((open) => this.#open(open)))
  }

  write(text: string): void {
    if (this.#inner) this.#inner.write(text)
    else if (!this.#ended) this.#text += text
  }

  end(): void {
    this.#ended = true
    this.#inner?.end()
  }

  close(): SpeechUsage {
    this.#closed = true
    const { id: engine, model } = this.#engine
    return this.#inner?.close() ?? { kind: 'tts', engine, model, audioMs: 0, characters: 0, firstResultMs: null, latencyMs: 0, outcome: 'aborted', requestId: null }
  }

  #open(open: () => TtsStream): TtsStream | null {
    if (this.#closed) return null
    this.#inner = open()
    this.#inner.write(this.#text)
    if (this.#ended) this.#inner.end()
    return this.#inner
  }

  async *#run(opening: Promise<TtsStream | null>): AsyncGenerator<TtsEvent> {
    const inner = await opening
    if (inner) yield* inner.events
  }
}
