import { z } from 'zod'
import type { Pcm } from '../../frame.ts'
import type { TtsEngine, TtsOptions, Voice } from '../contract.ts'
import { ttsEngine } from '../engine.ts'
import { speechError } from '../failure.ts'
import { fileName } from '../onnx/directory.ts'
import { LocalVoice, type LocalVoiceSettings } from '../onnx/local-voice.ts'
import type { TensorValue } from '../onnx/runner.ts'
import { SPOKEN_PAUSES } from '../part.ts'
import { STYLE_SIZE, styleOf, tokensOf, type Vocabulary } from './tokens.ts'

/** `directory` as published: `onnx/model.onnx` (or `model.onnx`), `tokenizer.json` (or `config.json`), `voices/<voice>.bin`. */
export type KokoroSettings = LocalVoiceSettings & {
  /** Another file of the same folder, such as `onnx/model_quantized.onnx`. */
  modelFile?: string
}

const ID = 'kokoro'
const SAMPLE_RATE_HZ = 24_000
const DEFAULT_VOICE = 'af_heart'
/** 510 styles are half a megabyte. */
const MAX_VOICE_BYTES = 4 * 1024 * 1024

/** The first letter of a voice's name is its language, the second its gender (VOICES.md of the model). */
const LANGUAGES: Record<string, { espeak: string; tag: string }> = {
  a: { espeak: 'en-us', tag: 'en-US' },
  b: { espeak: 'en-gb', tag: 'en-GB' },
  e: { espeak: 'es', tag: 'es' },
  f: { espeak: 'fr-fr', tag: 'fr-FR' },
  h: { espeak: 'hi', tag: 'hi' },
  i: { espeak: 'it', tag: 'it' },
  p: { espeak: 'pt-br', tag: 'pt-BR' },
  j: { espeak: 'ja', tag: 'ja' },
  z: { espeak: 'cmn', tag: 'zh' },
}

const Tokenizer = z.union([z.object({ model: z.object({ vocab: z.record(z.string(), z.number().int()) }) }), z.object({ vocab: z.record(z.string(), z.number().int()) })])

/** Kokoro on this machine: 24 kHz, one model for all voices. */
export function kokoroVoice(settings: KokoroSettings): TtsEngine {
  return ttsEngine(new Kokoro(settings), settings.engine)
}

class Kokoro extends LocalVoice {
  readonly id = ID
  readonly model = 'kokoro'
  readonly pauses = { sentenceMs: SPOKEN_PAUSES.sentenceMs / 2, clauseMs: 0 }
  readonly #modelFiles: readonly string[]
  readonly #styles = new Map<string, Float32Array>()
  #vocabulary: Vocabulary | null = null

  constructor(settings: KokoroSettings) {
    super(ID, settings)
    this.#modelFiles = settings.modelFile ? [settings.modelFile] : ['onnx/model.onnx', 'model.onnx']
  }

  sampleRateHz(): number {
    return SAMPLE_RATE_HZ
  }

  async voices(): Promise<Voice[]> {
    const names = await this.directory.list('voices', '.bin')
    return names.map((id) => ({ id, name: id, language: LANGUAGES[id[0] ?? '']?.tag ?? 'mul', gender: id[1] === 'f' ? 'female' : id[1] === 'm' ? 'male' : null }))
  }

  protected async sound(text: string, options: Omit<TtsOptions, 'signal'>, signal: AbortSignal): Promise<Pcm> {
    const voice = fileName(ID, options.voice || DEFAULT_VOICE)
    const model = await this.directory.find(...this.#modelFiles)
    const [vocabulary, styles] = [await this.#words(), await this.#style(voice)]
    const language = LANGUAGES[voice[0] ?? ''] ?? LANGUAGES.a!
    const tokens = tokensOf(await this.phonemes(text, language.espeak, signal), vocabulary)
    return this.run(model, inputsOf(tokens, styleOf(styles, tokens.length), options.speed), signal)
  }

  async #words(): Promise<Vocabulary> {
    if (this.#vocabulary) return this.#vocabulary
    const file = await this.directory.json(Tokenizer, 'tokenizer.json', 'config.json')
    this.#vocabulary = 'model' in file ? file.model.vocab : file.vocab
    return this.#vocabulary
  }

  async #style(voice: string): Promise<Float32Array> {
    const known = this.#styles.get(voice)
    if (known) return known
    const styles = await this.directory.floats(`voices/${voice}.bin`, MAX_VOICE_BYTES)
    if (styles.length < STYLE_SIZE) throw speechError('unsupported', `${ID}: voices/${voice}.bin holds no style`)
    this.#styles.set(voice, styles)
    return styles
  }
}

/** Newer exports call the tokens `input_ids`, older ones `tokens`; the runner leaves out what a model does not have. Pads around them. */
function inputsOf(tokens: readonly number[], style: Float32Array, speed: number): Record<string, TensorValue> {
  const ids: TensorValue = { type: 'int64', data: [0, ...tokens, 0], dims: [1, tokens.length + 2] }
  return { input_ids: ids, tokens: ids, style: { type: 'float32', data: style, dims: [1, STYLE_SIZE] }, speed: { type: 'float32', data: Float32Array.of(speed), dims: [1] } }
}
