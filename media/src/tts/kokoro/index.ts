import { z } from 'zod'
import type { TtsEngine, TtsOptions, Voice } from '../contract.ts'
import { ttsEngine, type EngineSettings } from '../engine.ts'
import { harmless } from '../espeak/index.ts'
import { phonemesOf } from '../espeak/phonemes.ts'
import type { EspeakPool } from '../espeak/pool.ts'
import { speechError } from '../failure.ts'
import { ModelDirectory, fileName } from '../onnx/directory.ts'
import { localPart } from '../onnx/part.ts'
import type { Device, OnnxRunner, TensorValue } from '../onnx/runner.ts'
import { SPOKEN_PAUSES, type Deadlines, type Piece, type Said, type VoicePart } from '../part.ts'
import { STYLE_SIZE, styleOf, tokensOf, type Vocabulary } from './tokens.ts'

export type KokoroSettings = {
  /** As published: `onnx/model.onnx` (or `model.onnx`), `tokenizer.json` (or `config.json`), `voices/<voice>.bin`. */
  directory: string
  /** Another file of the same folder, such as `onnx/model_quantized.onnx`. */
  modelFile?: string
  runner: OnnxRunner
  /** Reads the text: Kokoro is fed espeak's phonemes. */
  espeak: EspeakPool
  device?: Device
  deadlines?: Partial<Deadlines>
  engine?: Partial<EngineSettings>
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

class Kokoro implements VoicePart {
  readonly id = ID
  readonly model = 'kokoro'
  readonly maxChars = 200
  readonly ahead = localPart.ahead
  readonly spokenForm = localPart.spokenForm
  readonly failure = localPart.failure
  readonly pauses = { sentenceMs: SPOKEN_PAUSES.sentenceMs / 2, clauseMs: 0 }
  readonly deadlines: Deadlines
  readonly #settings: KokoroSettings
  readonly #directory: ModelDirectory
  readonly #styles = new Map<string, Float32Array>()
  #vocabulary: Vocabulary | null = null

  constructor(settings: KokoroSettings) {
    this.#settings = settings
    this.#directory = new ModelDirectory(ID, settings.directory)
    this.deadlines = { ...localPart.deadlines, ...settings.deadlines }
  }

  sampleRateHz(): number {
    return SAMPLE_RATE_HZ
  }

  async voices(): Promise<Voice[]> {
    const names = await this.#directory.list('voices', '.bin')
    return names.map((id) => ({ id, name: id, language: LANGUAGES[id[0] ?? '']?.tag ?? 'mul', gender: id[1] === 'f' ? 'female' : id[1] === 'm' ? 'male' : null }))
  }

  async *say({ text }: Piece, options: Omit<TtsOptions, 'signal'>, signal: AbortSignal): AsyncGenerator<Said> {
    const { runner, espeak, device = 'cpu', modelFile } = this.#settings
    const voice = fileName(ID, options.voice || DEFAULT_VOICE)
    const model = await (modelFile ? this.#directory.find(modelFile) : this.#directory.find('onnx/model.onnx', 'model.onnx'))
    const [vocabulary, styles] = [await this.#words(), await this.#style(voice)]
    const language = LANGUAGES[voice[0] ?? ''] ?? LANGUAGES.a!
    const tokens = tokensOf(await phonemesOf(espeak, harmless(text), language.espeak, signal), vocabulary)
    const pcm = await runner.run(model, device, inputsOf(tokens, styleOf(styles, tokens.length), options.speed), signal)
    yield { type: 'open', requestId: null }
    yield { type: 'audio', pcm }
  }

  async #words(): Promise<Vocabulary> {
    if (this.#vocabulary) return this.#vocabulary
    const file = await this.#directory.json(Tokenizer, 'tokenizer.json', 'config.json')
    this.#vocabulary = 'model' in file ? file.model.vocab : file.vocab
    return this.#vocabulary
  }

  async #style(voice: string): Promise<Float32Array> {
    const known = this.#styles.get(voice)
    if (known) return known
    const styles = await this.#directory.floats(`voices/${voice}.bin`, MAX_VOICE_BYTES)
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
