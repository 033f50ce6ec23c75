import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { InferenceSession } from 'onnxruntime-node'
import { speechError } from '../tts/failure.ts'

/** `cuda` falls back to the processor where there is no such device or library. */
export type Device = 'cpu' | 'cuda'
export type OpenedModel = { session: InferenceSession; /** Where it really runs. */ device: Device }

/** Where the runtime looks for it; asking without it writes to our standard error. */
const CUDA_LIBRARY = join(createRequire(import.meta.url).resolve('onnxruntime-node'), '../../bin/napi-v6', process.platform, process.arch, 'libonnxruntime_providers_cuda.so')

/**
 * Only in a thread of its own: the runtime computes in the thread that asks. CUDA where it was asked for and is there (its library is not part of
 * the package, and it needs a driver); else the processor. `cores`: what one run may use; default as many as there are. Rejects with `model_missing`.
 */
export async function openModel(path: string, device: Device, cores?: number): Promise<OpenedModel> {
  if (!existsSync(path)) throw speechError('model_missing', `The model file ${path} is not there`)
  if (device === 'cuda' && existsSync(CUDA_LIBRARY)) {
    const session = await InferenceSession.create(path, { executionProviders: ['cuda'], logSeverityLevel: 4 }).catch(() => null)
    if (session) return { session, device }
  }
  const threads = cores === undefined ? {} : { intraOpNumThreads: cores, interOpNumThreads: 1 }
  return { session: await InferenceSession.create(path, { executionProviders: ['cpu'], graphOptimizationLevel: 'all', logSeverityLevel: 3, ...threads }), device: 'cpu' }
}

/** Each is opened once. One that failed is tried anew: what was missing may be there the next time. */
export class OpenOnce<Opened> {
  readonly #opened = new Map<string, Promise<Opened>>()

  get(key: string, open: () => Promise<Opened>): Promise<Opened> {
    const known = this.#opened.get(key)
    if (known) return known
    const opening = open()
    this.#opened.set(key, opening)
    opening.catch(() => this.#opened.delete(key))
    return opening
  }
}
