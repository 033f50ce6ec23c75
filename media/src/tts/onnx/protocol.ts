import type { Device } from '../../onnx/session.ts'

export type TensorValue = { type: 'int64'; data: readonly number[]; dims: readonly number[] } | { type: 'float32'; data: Float32Array; dims: readonly number[] }
/** `model`: path of the .onnx file. */
export type VoiceModel = { model: string; device: Device }
/** `device`: where it really runs. */
export type Loaded = { inputs: string[]; outputs: string[]; device: Device }
/** What the thread that computes is asked for. Inputs by name; those that the model does not have are left out. Samples travel without being copied. */
export type VoiceJobs = {
  load: { ask: VoiceModel; answer: Loaded }
  run: { ask: VoiceModel & { inputs: Record<string, TensorValue> }; answer: Float32Array<ArrayBuffer> }
}
