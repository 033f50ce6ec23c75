import { type InferenceSession, Tensor } from 'onnxruntime-node'
import { z } from 'zod'
import { openModel, type Device, type OpenedModel } from '../../onnx/session.ts'
import { speechError } from '../../tts/failure.ts'
import { ModelDirectory } from '../../tts/onnx/directory.ts'
import type { Decoder, Prompt } from './greedy.ts'
import { LogMel, WHISPER_FRAMES } from './mel.ts'
import type { TokenRules } from './rules.ts'
import { TokenizerFile, Vocabulary } from './vocabulary.ts'

/** Suffixes of the files as transformers.js names them; `auto` takes the first that is there, small ones first on a processor. */
export type Precision = 'auto' | 'fp32' | 'q8'

const SUFFIXES: Record<Precision, Record<Device, readonly string[]>> = {
  auto: { cpu: ['_quantized', ''], cuda: ['', '_quantized'] },
  fp32: { cpu: [''], cuda: [''] },
  q8: { cpu: ['_quantized'], cuda: ['_quantized'] },
}

const Config = z.object({ decoder_layers: z.number().int().positive(), decoder_attention_heads: z.number().int().positive(), d_model: z.number().int().positive(), num_mel_bins: z.number().int().positive().default(80), vocab_size: z.number().int().positive() })
const Generation = z.object({
  decoder_start_token_id: z.number().int(),
  eos_token_id: z.union([z.number().int(), z.array(z.number().int()).min(1).transform((ids) => ids[0]!)]),
  no_timestamps_token_id: z.number().int().optional(),
  suppress_tokens: z.array(z.number().int()).nullish(),
  begin_suppress_tokens: z.array(z.number().int()).nullish(),
  max_initial_timestamp_index: z.number().int().nullish(),
  lang_to_id: z.record(z.string(), z.number().int()).nullish(),
  task_to_id: z.record(z.string(), z.number().int()).nullish(),
})

type Layers = { count: number; heads: number; headSize: number }

/**
 * A Whisper model as exported for transformers.js: config.json, generation_config.json, tokenizer.json, and below onnx/ an encoder and a merged
 * decoder (with and without memory of earlier tokens). Everything is local; nothing is ever fetched.
 */
export class WhisperModel {
  readonly device: Device
  readonly mel: LogMel
  readonly rules: TokenRules
  readonly vocabulary: Vocabulary
  readonly #languages: ReadonlyMap<string, number>
  readonly #prompt: Omit<Prompt, 'language'>
  readonly #encoder: InferenceSession
  readonly #decoder: InferenceSession
  readonly #layers: Layers

  static async open(path: string, wanted: Device, precision: Precision): Promise<WhisperModel> {
    const files = new ModelDirectory('whisper', path)
    const config = await files.json(Config, 'config.json')
    const generation = await files.json(Generation, 'generation_config.json')
    const vocabulary = new Vocabulary(await files.json(TokenizerFile, 'tokenizer.json'))
    const names = (part: string) => SUFFIXES[precision][wanted].flatMap((suffix) => [`onnx/${part}${suffix}.onnx`, `${part}${suffix}.onnx`])
    const encoder = await openModel(await files.find(...names('encoder_model')), wanted)
    const decoder = await openModel(await files.find(...names('decoder_model_merged')), encoder.device)
    return new WhisperModel(config, generation, vocabulary, encoder, decoder)
  }

  private constructor(config: z.infer<typeof Config>, generation: z.infer<typeof Generation>, vocabulary: Vocabulary, encoder: OpenedModel, decoder: OpenedModel) {
    const noTimestamps = generation.no_timestamps_token_id ?? vocabulary.special('<|notimestamps|>')
    if (noTimestamps === null) throw speechError('unsupported', 'whisper: the model has no times')
    this.device = decoder.device
    this.mel = new LogMel(config.num_mel_bins)
    this.vocabulary = vocabulary
    this.rules = { end: generation.eos_token_id, noTimestamps, suppressed: generation.suppress_tokens ?? [], suppressedFirst: generation.begin_suppress_tokens ?? [], maxFirstTime: generation.max_initial_timestamp_index ?? 50 }
    this.#languages = new Map(Object.entries(generation.lang_to_id ?? {}).map(([token, id]) => [token.replaceAll(/[<|>]/g, ''), id]))
    const languages = new Map([...this.#languages].map(([name, id]) => [id, name]))
    const transcribe = this.#languages.size === 0 ? null : (generation.task_to_id?.transcribe ?? vocabulary.special('<|transcribe|>'))
    this.#prompt = { start: generation.decoder_start_token_id, transcribe, languages, noSpeech: vocabulary.special('<|nospeech|>') ?? vocabulary.special('<|nocaptions|>') }
    this.#encoder = encoder.session
    this.#decoder = decoder.session
    this.#layers = { count: config.decoder_layers, heads: config.decoder_attention_heads, headSize: config.d_model / config.decoder_attention_heads }
    if (!this.#decoder.inputNames.includes('past_key_values.0.decoder.key')) throw speechError('unsupported', 'whisper: the decoder is not a merged one')
  }

  /** `language`: BCP 47; one that the model does not know is found out as if none were given. */
  prompt(language: string | null): Prompt {
    const token = this.#languages.get(language?.split('-')[0]?.toLowerCase() ?? '') ?? null
    return { ...this.#prompt, language: token }
  }

  async encode(features: Float32Array): Promise<Tensor> {
    const input = new Tensor('float32', features, [1, this.mel.bands, WHISPER_FRAMES])
    const output = await this.#encoder.run({ [this.#encoder.inputNames[0]!]: input })
    return output[this.#encoder.outputNames[0]!]!
  }

  decoder(sound: Tensor): Decoder {
    return new CachedDecoder(this.#decoder, this.#layers, sound)
  }
}

/** Keeps keys and values of what was said: each token is computed once. */
class CachedDecoder implements Decoder {
  readonly #session: InferenceSession
  readonly #sound: Tensor
  #past: Record<string, Tensor> = {}
  #isFirst = true

  constructor(decoder: InferenceSession, layers: Layers, sound: Tensor) {
    this.#session = decoder
    this.#sound = sound
    for (const name of decoder.inputNames.filter((input) => input.startsWith('past_key_values.'))) this.#past[name] = empty(decoder, name, layers)
  }

  async feed(tokens: readonly number[]): Promise<Float32Array[]> {
    const feeds: Record<string, Tensor> = { ...this.#past, input_ids: new Tensor('int64', BigInt64Array.from(tokens, BigInt), [1, tokens.length]), encoder_hidden_states: this.#sound }
    if (this.#session.inputNames.includes('use_cache_branch')) feeds.use_cache_branch = new Tensor('bool', [!this.#isFirst], [1])
    const outputs = await this.#session.run(feeds)
    this.#remember(outputs)
    const { data, dims } = outputs.logits!
    if (!(data instanceof Float32Array)) throw speechError('unsupported', 'whisper: the decoder answers no float32')
    const size = dims.at(-1)!
    return tokens.map((_, index) => data.slice(index * size, (index + 1) * size))
  }

  /** Keys of the sound come once: with memory in use the merged decoder answers empty ones. */
  #remember(outputs: Record<string, Tensor>): void {
    for (const name of Object.keys(this.#past)) {
      const present = outputs[name.replace('past_key_values', 'present')]
      if (present && (this.#isFirst || !name.includes('.encoder.'))) this.#past[name] = present
    }
    this.#isFirst = false
  }
}

function empty(decoder: InferenceSession, name: string, { heads, headSize }: Layers): Tensor {
  const metadata = decoder.inputMetadata.find((input) => input.name === name)
  const type = metadata?.isTensor ? metadata.type : 'float32'
  if (type !== 'float32' && type !== 'float16') throw speechError('unsupported', `whisper: the decoder remembers in ${type}`)
  const dims = [1, heads, 0, headSize]
  return type === 'float16' ? new Tensor('float16', new Uint16Array(0), dims) : new Tensor('float32', new Float32Array(0), dims)
}
