/** The package has no types of its own: an Emscripten module that resolves when its WebAssembly is ready. */
declare module '@echogarden/speex-resampler-wasm/simd' {
  export default function load<Module>(): Promise<Module>
}
