/** Computes Silero for all calls: as many rows as there are in one run. */
import { type InferenceSession, Tensor } from 'onnxruntime-node'
import { serveJobs } from '../../onnx/serve.ts'
import { openModel } from '../../onnx/session.ts'
import { speechError } from '../../tts/failure.ts'
import { BatchMemory, CELLS, CONTEXT, type Rate, type SileroJobs, WINDOW } from './shape.ts'

const INPUTS = ['input', 'state', 'sr']
const OUTPUTS = ['output', 'stateN']
const SCALE = 1 / 32_768
const rates = { 8_000: rateTensor(8_000), 16_000: rateTensor(16_000) }
let opened: { session: InferenceSession; memory: BatchMemory } | null = null

serveJobs<SileroJobs>('silero', {
  async open({ model, memory, capacity }) {
    // One core for a run: of more the small matrices have nothing, and the calls need them.
    const { session } = await openModel(model, 'cpu', 1)
    if (!INPUTS.every((name) => session.inputNames.includes(name)) || !OUTPUTS.every((name) => session.outputNames.includes(name))) throw speechError('unsupported', `silero: ${model} has not the inputs and outputs of version 5`)
    opened = { session, memory: new BatchMemory(capacity, memory) }
    // The first run of a graph is the slowest one: no call is to wait for it.
    await judge(8_000, 1)
    await judge(16_000, 1)
    return { answer: null }
  },
  async judge({ rateHz, rows }) {
    await judge(rateHz, rows)
    return { answer: null }
  },
})

async function judge(rateHz: Rate, rows: number): Promise<void> {
  if (!opened) throw speechError('unavailable', 'silero: the thread has no model')
  const { session, memory } = opened
  const length = WINDOW[rateHz] + CONTEXT[rateHz]
  const input = new Float32Array(rows * length)
  for (let index = 0; index < input.length; index++) input[index] = memory.samples[index]! * SCALE
  // The runtime does not take shared memory.
  const state = memory.state.slice(0, rows * 2 * CELLS)
  const { output, stateN } = await session.run({ input: new Tensor('float32', input, [rows, length]), state: new Tensor('float32', state, [2, rows, CELLS]), sr: rates[rateHz] })
  memory.probabilities.set(output!.data as Float32Array)
  memory.state.set(stateN!.data as Float32Array)
}

function rateTensor(rateHz: Rate): Tensor {
  return new Tensor('int64', BigInt64Array.of(BigInt(rateHz)), [])
}
