/** Computes ONNX models of voices in a thread of its own: a sentence takes a core for long. One run at a time, in order. */
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { parentPort } from 'node:worker_threads'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import type { Ask, Device, Loaded, Reply, TensorValue } from './protocol.ts'

/** Where the runtime looks for it; asking without it writes to our standard error. */
const CUDA_LIBRARY = join(createRequire(import.meta.url).resolve('onnxruntime-node'), '../../bin/napi-v6', process.platform, process.arch, 'libonnxruntime_providers_cuda.so')

const port = parentPort!
const sessions = new Map<string, Promise<{ session: InferenceSession; device: Device }>>()
const waiting: Exclude<Ask, { type: 'cancel' }>[] = []
let busy = false

const tell = (reply: Reply, transfer: ArrayBuffer[] = []): void => port.postMessage(reply, transfer)

port.on('message', (ask: Ask) => {
  if (ask.type === 'cancel') {
    const at = waiting.findIndex(({ id }) => id === ask.id)
    if (at >= 0) waiting.splice(at, 1)
    return
  }
  waiting.push(ask)
  if (!busy) void work()
})

async function work(): Promise<void> {
  busy = true
  for (let ask = waiting.shift(); ask; ask = waiting.shift()) {
    try {
      await serve(ask)
    } catch (error) {
      tell({ id: ask.id, type: 'failed', code: 'unavailable', message: firstLine(error) })
    }
  }
  busy = false
}

/** The runtime's messages are about graphs and operators; they name no text that was spoken. */
const firstLine = (error: unknown): string => (error instanceof Error ? error.message : String(error)).split('\n')[0]!.slice(0, 300)

async function serve(ask: Exclude<Ask, { type: 'cancel' }>): Promise<void> {
  if (!existsSync(ask.model)) return tell({ id: ask.id, type: 'failed', code: 'model_missing', message: `The model file ${ask.model} is not there` })
  const { session, device } = await open(ask.model, ask.device)
  const loaded: Loaded = { inputs: [...session.inputNames], outputs: [...session.outputNames], device }
  if (ask.type === 'load') return tell({ id: ask.id, type: 'loaded', loaded })
  const feeds = Object.fromEntries(Object.entries(ask.inputs).filter(([name]) => session.inputNames.includes(name)).map(([name, value]) => [name, tensorOf(session, name, value)]))
  const results = await session.run(feeds)
  const samples = await floats(results[session.outputNames[0]!]!)
  tell({ id: ask.id, type: 'sound', samples }, [samples.buffer])
}

function open(model: string, device: Device): ReturnType<typeof create> {
  const key = `${device}:${model}`
  const known = sessions.get(key)
  if (known) return known
  const opened = create(model, device)
  sessions.set(key, opened)
  opened.catch(() => sessions.delete(key))
  return opened
}

/** CUDA where it was asked for and is there (its library is not part of the package, and it needs a driver); else the processor. */
async function create(model: string, device: Device): Promise<{ session: InferenceSession; device: Device }> {
  if (device === 'cuda' && existsSync(CUDA_LIBRARY)) {
    const session = await InferenceSession.create(model, { executionProviders: ['cuda'], logSeverityLevel: 4 }).catch(() => null)
    if (session) return { session, device }
  }
  return { session: await InferenceSession.create(model, { executionProviders: ['cpu'], graphOptimizationLevel: 'all', logSeverityLevel: 3 }), device: 'cpu' }
}

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
