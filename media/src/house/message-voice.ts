import type { SpeechUsage } from '../stt/contract.ts'
import type { TtsEngine, TtsEvent, TtsOptions, TtsStream } from '../tts/contract.ts'
import type { Prerecorded } from '../tts/prerecorded/index.ts'
import { durationMs } from '../frame.ts'

export const MESSAGE_VOICE = { id: 'prerecorded', model: 'message' } as const

/**
 * The last of a chain, when every voice is down: whatever was to be said, it says that there is trouble, and is done. It tells so, since
 * nothing of the text is heard.
 */
export function messageVoice(messages: Prerecorded): TtsEngine {
  return { ...MESSAGE_VOICE, voices: async () => [], speak: (options) => new MessageStream(messages, options) }
}

class MessageStream implements TtsStream {
  readonly events: AsyncIterable<TtsEvent>
  readonly #messages: Prerecorded
  readonly #options: TtsOptions
  readonly #wanted = Promise.withResolvers<boolean>()
  #audioMs = 0
  #outcome: SpeechUsage['outcome'] | null = null

  constructor(messages: Prerecorded, options: TtsOptions) {
    this.#messages = messages
    this.#options = options
    this.events = this.#run()
    if (options.signal.aborted) this.#settle('aborted')
    else options.signal.addEventListener('abort', this.#aborted, { once: true })
  }

  write(text: string): void {
    if (text.trim() !== '') this.#wanted.resolve(true)
  }

  end(): void {
    this.#wanted.resolve(false)
  }

  close(): SpeechUsage {
    this.#settle('aborted')
    return { kind: 'tts', engine: MESSAGE_VOICE.id, model: MESSAGE_VOICE.model, audioMs: Math.round(this.#audioMs), characters: 0, firstResultMs: null, latencyMs: 0, outcome: this.#outcome!, requestId: null }
  }

  readonly #aborted = (): void => this.#settle('aborted')

  #settle(outcome: SpeechUsage['outcome']): void {
    this.#outcome ??= outcome
    this.#options.signal.removeEventListener('abort', this.#aborted)
    this.#wanted.resolve(false)
  }

  async *#run(): AsyncGenerator<TtsEvent> {
    const { language, sampleRateHz } = this.#options
    const pcm = (await this.#wanted.promise) ? await this.#messages.get('trouble', language, sampleRateHz) : null
    if (this.#outcome) return
    if (pcm) {
      this.#audioMs = durationMs(pcm, sampleRateHz)
      yield { type: 'aside', charEnd: 0 }
      yield { type: 'audio', pcm }
    }
    if (this.#outcome) return
    this.#settle('ok')
    yield { type: 'done' }
  }
}
