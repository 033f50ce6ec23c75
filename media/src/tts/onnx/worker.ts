/** Computes ONNX models of voices in a thread of its own: a sentence takes a core for long. */
import { type InferenceSession, Tensor } from 'onnxruntime-node'
import { serveJobs } from '../../onnx/serve.ts'
import { openModel, OpenOnce, type OpenedModel } from '../../onnx/session.ts'
import type { TensorValue, VoiceJobs, VoiceModel } from './protocol.ts'

const models = new OpenOnce<OpenedModel>()
const open = ({ model, device }: VoiceModel): Promise<OpenedModel> => models.get(`${device}:${model}`, () => openModel(model, device))

serveJobs<VoiceJobs>('local voices', {
  async load(ask) {
    const { session, device } = await open(ask)
    return { answer: { inputs: [...session.inputNames], outputs: [...session.outputNames], device } }
  },
  async run(ask) {
    const { session } = await open(ask)
    const feeds = Object.fromEntries(Object.entries(ask.inputs).filter(([name]) => session.inputNames.includes(name)).map(([name, value]) => [name, tensorOf(session, name, value)]))
    const results = await session.run(feeds)
    const samples = await floats(results[session.outputNames[0]!]!)
    return { answer: samples, transfer: [samples.buffer] }
  },
})

/** Exports of one model differ in the type of an input (Kokoro's speed is int32 or float32): the model decides. */
function tensorOf(session: InferenceSession, name: string, value: TensorValue): Tensor {
  const metadata = session.inputMetadata.find((input) => input.name === name)
  const type = metadata?.isTensor ? metadata.type : value.type
  const { data, dims } = value
  if (type === 'int64') return new Tensor('int64', BigInt64Array.from(data, (one) => BigInt(Math.round(one))), dims)
  if (type === 'int32') return new Tensor('int32', Int32Array.from(data, Math.round), dims)
  return new Tensor('float32', data instanceof Float32Array ? data : Float32Array.from(data), dims)
}

/** A copy: the runtime's memory cannot be given away. */
async function floats(tensor: Tensor): Promise<Float32Array<ArrayBuffer>> {
  const data = await tensor.getData()
  if (!(data instanceof Float32Array)) throw new TypeError(`The model answers ${tensor.type}, not float32`)
  return Float32Array.from(data)
}
