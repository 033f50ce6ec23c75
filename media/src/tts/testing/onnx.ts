import { floats, ints, node, onnxModel, type Port } from '../../stt/whisper/testing/onnx.ts'

/** TensorProto.DataType */
const FLOAT = 1
/** Samples per token of the voices below. */
export const SAMPLES_PER_TOKEN = 100
const levels = () => floats('levels', [1, SAMPLES_PER_TOKEN], new Float32Array(SAMPLES_PER_TOKEN).fill(0.001))

/**
 * With the inputs and the output of a Piper voice. Every id becomes 100 samples of `id / 1000 * length scale`, plus a tenth of the speaker:
 * what went in can be read from what comes out.
 */
export function tinyPiper({ speakers = false } = {}): Uint8Array {
  const speaker: Port[] = speakers ? [{ name: 'sid', type: 'int64', dims: ['batch'] }] : []
  return onnxModel({
    inputs: [{ name: 'input', type: 'int64', dims: ['batch', 'phonemes'] }, { name: 'input_lengths', type: 'int64', dims: ['batch'] }, { name: 'scales', type: 'float32', dims: [3] }, ...speaker],
    outputs: [{ name: 'output', type: 'float32', dims: [1, 1, 1, 'time'] }],
    constants: [ints('column', [2], [-1, 1]), ints('flat', [4], [1, 1, 1, -1]), ints('one', [1], [1]), ints('none', [1], [0]), floats('tenth', [1], Float32Array.of(0.1)), levels()],
    nodes: [
      node('Cast', ['input'], ['ids'], { to: FLOAT }),
      node('Reshape', ['ids', 'column'], ['rows']),
      node('Mul', ['rows', 'levels'], ['waves']),
      node('Gather', ['scales', 'one'], ['length_scale']),
      node('Mul', ['waves', 'length_scale'], ['scaled']),
      node('Cast', [speakers ? 'sid' : 'none'], ['speaker'], { to: FLOAT }),
      node('Mul', ['speaker', 'tenth'], ['offset']),
      node('Add', ['scaled', 'offset'], ['sum']),
      node('Reshape', ['sum', 'flat'], ['output']),
    ],
  })
}

type KokoroExport = { tokens?: string; speed?: 'float32' | 'int32' }

/** With the inputs and the output of Kokoro: every token becomes 100 samples of `(token / 1000 + first value of the style) / speed`. */
export function tinyKokoro({ tokens = 'input_ids', speed = 'float32' }: KokoroExport = {}): Uint8Array {
  return onnxModel({
    inputs: [{ name: tokens, type: 'int64', dims: [1, 'tokens'] }, { name: 'style', type: 'float32', dims: [1, 256] }, { name: 'speed', type: speed, dims: [1] }],
    outputs: [{ name: 'waveform', type: 'float32', dims: [1, 'time'] }],
    constants: [ints('column', [2], [-1, 1]), ints('flat', [2], [1, -1]), ints('zero', [1], [0]), levels()],
    nodes: [
      node('Cast', [tokens], ['ids'], { to: FLOAT }),
      node('Reshape', ['ids', 'column'], ['rows']),
      node('Mul', ['rows', 'levels'], ['waves']),
      node('Gather', ['style', 'zero'], ['tone'], { axis: 1 }),
      node('Add', ['waves', 'tone'], ['sum']),
      node('Cast', ['speed'], ['pace'], { to: FLOAT }),
      node('Div', ['sum', 'pace'], ['paced']),
      node('Reshape', ['paced', 'flat'], ['waveform']),
    ],
  })
}
