import type { Pcm } from '../../frame.ts'
import type { Device } from '../../onnx/session.ts'
import { OnnxThread } from '../../onnx/thread.ts'
import type { Loaded, TensorValue, VoiceJobs } from './protocol.ts'

export type { Device } from '../../onnx/session.ts'
export type { Loaded, TensorValue } from './protocol.ts'

/** The thread that computes; shared by all local voices of the process. It starts with the first request and anew after a death. */
export class OnnxRunner {
  readonly #thread = new OnnxThread<VoiceJobs>({ entry: new URL('./worker.ts', import.meta.url), name: 'local voices' })

  /** Loads a model ahead of its first use. Rejects with SpeechError `model_missing` or `unavailable`. */
  load(model: string, device: Device, signal: AbortSignal): Promise<Loaded> {
    return this.#thread.ask('load', { model, device }, signal)
  }

  /** The model's first output, which is sound between -1 and 1. */
  async run(model: string, device: Device, inputs: Record<string, TensorValue>, signal: AbortSignal): Promise<Pcm> {
    return pcmOf(await this.#thread.ask('run', { model, device, inputs }, signal))
  }

  /** For tests and operators: ends the thread as a crash would. */
  kill(): Promise<void> {
    return this.#thread.end()
  }

  close(): Promise<void> {
    return this.#thread.close()
  }
}

function pcmOf(samples: Float32Array): Pcm {
  const pcm = new Int16Array(samples.length)
  for (let index = 0; index < samples.length; index++) pcm[index] = Math.max(-32_768, Math.min(32_767, Math.round(samples[index]! * 32_767)))
  return pcm
}
