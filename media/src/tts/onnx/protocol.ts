/** What we and the worker that computes tell each other. Arrays travel without being copied. */
export type Device = 'cpu' | 'cuda'
export type TensorValue = { type: 'int64'; data: readonly number[]; dims: readonly number[] } | { type: 'float32'; data: Float32Array; dims: readonly number[] }
/** `model`: path of the .onnx file. Inputs by name; those that the model does not have are left out. */
export type Ask = { id: number; type: 'load'; model: string; device: Device } | { id: number; type: 'run'; model: string; device: Device; inputs: Record<string, TensorValue> } | { id: number; type: 'cancel' }
/** `device`: where it really runs. */
export type Loaded = { inputs: string[]; outputs: string[]; device: Device }
export type Reply = { id: number } & ({ type: 'loaded'; loaded: Loaded } | { type: 'sound'; samples: Float32Array } | { type: 'failed'; code: 'model_missing' | 'unavailable'; message: string })
