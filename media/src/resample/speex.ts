import load from '@echogarden/speex-resampler-wasm/simd'

/** The part of SpeexDSP's resampler (speex_resampler.h) that we call; addresses are bytes in WebAssembly memory. */
export type Speex = {
  readonly HEAP16: Int16Array
  readonly HEAPU32: Uint32Array
  _malloc(bytes: number): number
  _free(address: number): void
  _speex_resampler_init(channels: number, fromHz: number, toHz: number, quality: number, error: number): number
  _speex_resampler_destroy(state: number): void
  _speex_resampler_process_int(state: number, channel: number, input: number, inputLength: number, output: number, outputLength: number): number
  _speex_resampler_get_input_latency(state: number): number
  _speex_resampler_get_output_latency(state: number): number
  _speex_resampler_skip_zeros(state: number): number
  _speex_resampler_reset_mem(state: number): number
}

/** One instance serves all streams of a thread, so that a stream costs its filter's memory and no more. 30 kB, loaded with the module. */
export const speex: Speex = await load<Speex>()
