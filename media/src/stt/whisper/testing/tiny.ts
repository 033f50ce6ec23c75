import { mkdir, mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { floats, ints, node, onnxModel } from './onnx.ts'
import type { GraphSpec, Port } from './onnx.ts'

/** A Whisper without a mind: the inputs and outputs of the real exports, the smallest insides that still use all of them. */
export const WIDTH = 8
const HEADS = 2
const HEAD_SIZE = WIDTH / HEADS
export const POSITIONS = 64
export const BANDS = 80

/** Ids of the tiny vocabulary, in the order of the real one: words, end, start, languages, tasks, no speech, no times, times. */
export const WORDS = ['Hello', 'Ġworld', '.', 'ĠGr', 'Ã¼', 'ÃŁe', 'ĠAda', 'Ġyes']
const FIRST = WORDS.length
export const IDS = { end: FIRST, start: FIRST + 1, en: FIRST + 2, de: FIRST + 3, transcribe: FIRST + 4, noSpeech: FIRST + 5, noTimestamps: FIRST + 6 }
export const FIRST_TIME = IDS.noTimestamps + 1
/** 0 to 30 s in steps of 20 ms. */
export const VOCABULARY = FIRST_TIME + 1_501
export const timeToken = (ms: number): number => FIRST_TIME + ms / 20
export const wordToken = (word: string): number => WORDS.indexOf(word)

export type Weights = { embedding: Float32Array; output: Float32Array; encoder: Float32Array; byPosition: Float32Array }

export const zeros = (): Weights => ({ embedding: new Float32Array(VOCABULARY * WIDTH), output: new Float32Array(WIDTH * VOCABULARY), encoder: new Float32Array(BANDS * WIDTH), byPosition: new Float32Array(POSITIONS * VOCABULARY) })

/** Says these tokens whatever it hears: the answer behind position p is `tokens[p]`. */
export function scripted(tokens: readonly number[]): Weights {
  const weights = zeros()
  for (const [position, token] of tokens.entries()) weights.byPosition[position * VOCABULARY + token] = 20
  return weights
}

/** What it says depends on the sound and on everything said before. Repeatable. */
export function random(seed: number): Weights {
  let state = seed
  const next = () => ((state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0) / 2 ** 32 - 0.5) * 2
  const weights = zeros()
  for (const array of Object.values(weights)) for (let index = 0; index < array.length; index++) array[index] = next()
  for (let index = 0; index < weights.byPosition.length; index++) weights.byPosition[index]! *= 0.5
  return weights
}

/** Features to hidden states: every second frame through one matrix. */
function encoder({ encoder: matrix }: Weights): GraphSpec {
  return {
    inputs: [{ name: 'input_features', type: 'float32', dims: ['batch', BANDS, 3_000] }],
    outputs: [{ name: 'last_hidden_state', type: 'float32', dims: ['batch', 1_500, WIDTH] }],
    constants: [floats('matrix', [BANDS, WIDTH], matrix), ints('from', [1], [0]), ints('to', [1], [3_000]), ints('axis', [1], [1]), ints('step', [1], [2])],
    nodes: [
      node('Transpose', ['input_features'], ['frames'], { perm: [0, 2, 1] }),
      node('Slice', ['frames', 'from', 'to', 'axis', 'step'], ['half']),
      node('MatMul', ['half', 'matrix'], ['last_hidden_state']),
    ],
  }
}

const cache = (name: string, kind: string): Port => ({ name, type: 'float32', dims: ['batch', HEADS, `${kind}_length`, HEAD_SIZE] })

/** Logits of a position: all that was said up to it, the mean of the sound, and the position itself. */
function decoder({ embedding, output, byPosition }: Weights): GraphSpec {
  const pasts = ['decoder.key', 'decoder.value', 'encoder.key', 'encoder.value']
  return {
    inputs: [
      { name: 'input_ids', type: 'int64', dims: ['batch', 'length'] },
      { name: 'encoder_hidden_states', type: 'float32', dims: ['batch', 'frames', WIDTH] },
      ...pasts.map((kind) => cache(`past_key_values.0.${kind}`, `past_${kind.split('.')[0]}`)),
      { name: 'use_cache_branch', type: 'bool', dims: [1] },
    ],
    outputs: [{ name: 'logits', type: 'float32', dims: ['batch', 'length', VOCABULARY] }, ...pasts.map((kind) => cache(`present.0.${kind}`, `present_${kind.split('.')[0]}`))],
    constants: [
      floats('embedding', [VOCABULARY, WIDTH], embedding), floats('output', [WIDTH, VOCABULARY], output), floats('by_position', [POSITIONS, VOCABULARY], byPosition),
      ints('split', [4], [1, -1, HEADS, HEAD_SIZE]), ints('joined', [3], [1, -1, WIDTH]), ints('axis_length', [], [2]), ints('at_length', [1], [2]), ints('far', [1], [1_000_000]), ints('one', [], [1]), ints('zero_axis', [1], [0]),
    ],
    nodes: [
      node('Gather', ['embedding', 'input_ids'], ['embedded']),
      node('Reshape', ['embedded', 'split'], ['by_head']),
      node('Transpose', ['by_head'], ['key'], { perm: [0, 2, 1, 3] }),
      node('Concat', ['past_key_values.0.decoder.key', 'key'], ['present.0.decoder.key'], { axis: 2 }),
      node('Concat', ['past_key_values.0.decoder.value', 'key'], ['present.0.decoder.value'], { axis: 2 }),
      node('Squeeze', ['use_cache_branch', 'zero_axis'], ['with_memory']),
      node('If', ['with_memory'], ['sound', 'present.0.encoder.key', 'present.0.encoder.value'], { then_branch: remembered(), else_branch: heard() }),
      // What was said before: the sum of keys (and of values, so that both must be kept) up to each position.
      node('Add', ['present.0.decoder.key', 'present.0.decoder.value'], ['both']),
      node('CumSum', ['both', 'axis_length'], ['history']),
      node('Shape', ['past_key_values.0.decoder.key'], ['past_shape']),
      node('Gather', ['past_shape', 'at_length'], ['past_length']),
      node('Slice', ['history', 'past_length', 'far', 'at_length'], ['new_history']),
      node('Add', ['new_history', 'sound'], ['mixed']),
      node('Transpose', ['mixed'], ['mixed_by_position'], { perm: [0, 2, 1, 3] }),
      node('Reshape', ['mixed_by_position', 'joined'], ['state']),
      node('MatMul', ['state', 'output'], ['from_state']),
      node('Squeeze', ['past_length', 'zero_axis'], ['first_position']),
      node('Shape', ['input_ids'], ['ids_shape']),
      node('Gather', ['ids_shape', 'one'], ['length']),
      node('Add', ['first_position', 'length'], ['behind_last']),
      node('Range', ['first_position', 'behind_last', 'one'], ['positions']),
      node('Gather', ['by_position', 'positions'], ['from_position']),
      node('Add', ['from_state', 'from_position'], ['logits']),
    ],
  }
}

const branch = (prefix: string): Port[] => ['sound', 'key', 'value'].map((name) => ({ name: `${prefix}_${name}`, type: 'float32', dims: ['b', 'h', 'l', 's'] }))

/** As in merged exports: the memory of the sound is used and not answered again. */
function remembered(): GraphSpec {
  return {
    inputs: [], outputs: branch('then'), constants: [floats('nothing', [0, HEADS, 1, HEAD_SIZE], new Float32Array(0))],
    nodes: [node('Add', ['past_key_values.0.encoder.key', 'past_key_values.0.encoder.value'], ['then_sound']), node('Identity', ['nothing'], ['then_key']), node('Identity', ['nothing'], ['then_value'])],
  }
}

function heard(): GraphSpec {
  return {
    inputs: [], outputs: branch('else'), constants: [ints('else_split', [4], [1, -1, HEADS, HEAD_SIZE])],
    nodes: [
      node('ReduceMean', ['encoder_hidden_states'], ['else_mean'], { axes: [1], keepdims: 1 }),
      node('Reshape', ['else_mean', 'else_split'], ['else_by_head']),
      node('Transpose', ['else_by_head'], ['else_key'], { perm: [0, 2, 1, 3] }),
      node('Identity', ['else_key'], ['else_value']),
      node('Add', ['else_key', 'else_value'], ['else_sound']),
    ],
  }
}

export type TinyOptions = { suppress?: number[]; suppressFirst?: number[]; multilingual?: boolean; suffix?: string }

/** Writes the folder as transformers.js wants it, and answers its path. */
export async function writeTinyWhisper(weights: Weights, { suppress = [], suppressFirst = [], multilingual = true, suffix = '' }: TinyOptions = {}): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'tiny-whisper-'))
  await mkdir(join(path, 'onnx'))
  const json = (name: string, value: unknown) => writeFile(join(path, name), JSON.stringify(value))
  const special = { '<|endoftext|>': IDS.end, '<|startoftranscript|>': IDS.start, '<|en|>': IDS.en, '<|de|>': IDS.de, '<|transcribe|>': IDS.transcribe, '<|nospeech|>': IDS.noSpeech, '<|notimestamps|>': IDS.noTimestamps }
  await Promise.all([
    json('config.json', { decoder_layers: 1, decoder_attention_heads: HEADS, d_model: WIDTH, num_mel_bins: BANDS, vocab_size: VOCABULARY }),
    json('tokenizer.json', { model: { vocab: Object.fromEntries(WORDS.map((word, id) => [word, id])) }, added_tokens: Object.entries(special).map(([content, id]) => ({ id, content, special: true })) }),
    json('generation_config.json', {
      decoder_start_token_id: IDS.start, eos_token_id: IDS.end, no_timestamps_token_id: IDS.noTimestamps, suppress_tokens: suppress, begin_suppress_tokens: suppressFirst, max_initial_timestamp_index: 50,
      ...(multilingual ? { is_multilingual: true, lang_to_id: { '<|en|>': IDS.en, '<|de|>': IDS.de }, task_to_id: { transcribe: IDS.transcribe } } : {}),
    }),
    writeFile(join(path, `onnx/encoder_model${suffix}.onnx`), onnxModel(encoder(weights))),
    writeFile(join(path, `onnx/decoder_model_merged${suffix}.onnx`), onnxModel(decoder(weights))),
  ])
  return path
}
