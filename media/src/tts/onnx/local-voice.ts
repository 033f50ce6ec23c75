import type { Pcm } from '../../frame.ts'
import { SpeechError } from '../../stt/contract.ts'
import type { SpeechFailure } from '../../stt/contract.ts'
import type { TtsOptions, Voice } from '../contract.ts'
import type { EngineSettings } from '../engine.ts'
import { harmless } from '../espeak/index.ts'
import { phonemesOf } from '../espeak/phonemes.ts'
import type { EspeakPool } from '../espeak/pool.ts'
import { LOCAL_DEADLINES, type Deadlines, type Piece, type Said, type VoicePart } from '../part.ts'
import { ModelDirectory } from './directory.ts'
import type { Device, OnnxRunner, TensorValue } from './runner.ts'

export type LocalVoiceSettings = {
  /** Where the model's files lie. */
  directory: string
  runner: OnnxRunner
  /** Reads the text: these models are fed espeak's phonemes. */
  espeak: EspeakPool
  device?: Device
  deadlines?: Partial<Deadlines>
  engine?: Partial<EngineSettings>
}

type Request = Omit<TtsOptions, 'signal'>

/** What all voices have in common that are computed here: espeak reads, a model speaks, pieces one after another because they share the cores. */
export abstract class LocalVoice implements VoicePart {
  abstract readonly id: string
  abstract readonly model: string
  abstract readonly pauses: VoicePart['pauses']
  readonly maxChars = 200
  readonly ahead = 0
  /** Espeak reads numbers by itself. */
  readonly spokenForm = { contacts: true, numbers: false }
  readonly deadlines: Deadlines
  protected readonly directory: ModelDirectory
  readonly #settings: LocalVoiceSettings

  constructor(id: string, settings: LocalVoiceSettings) {
    this.#settings = settings
    this.directory = new ModelDirectory(id, settings.directory)
    // The sound of a piece comes at once, when it is finished.
    this.deadlines = { ...LOCAL_DEADLINES, openMs: 20_000, ...settings.deadlines }
  }

  abstract sampleRateHz(wanted: number): number
  abstract voices(): Promise<Voice[]>
  /** All of a piece, at `sampleRateHz`. */
  protected abstract sound(text: string, options: Request, signal: AbortSignal): Promise<Pcm>

  async *say({ text }: Piece, options: Request, signal: AbortSignal): AsyncGenerator<Said> {
    const pcm = await this.sound(text, options, signal)
    yield { type: 'open', requestId: null }
    yield { type: 'audio', pcm }
  }

  failure(error: unknown): SpeechFailure {
    return error instanceof SpeechError ? error.failure : { code: 'unavailable', message: 'The local voice failed', requestId: null }
  }

  protected phonemes(text: string, espeakVoice: string, signal: AbortSignal): ReturnType<typeof phonemesOf> {
    return phonemesOf(this.#settings.espeak, harmless(text), espeakVoice, signal)
  }

  protected run(modelPath: string, inputs: Record<string, TensorValue>, signal: AbortSignal): Promise<Pcm> {
    const { runner, device = 'cpu' } = this.#settings
    return runner.run(modelPath, device, inputs, signal)
  }
}
