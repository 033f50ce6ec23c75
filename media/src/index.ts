export * from './frame.ts'
export * from './codec/index.ts'
export { createResampler } from './resample/resampler.ts'
export type { Resampler, ResamplerOptions } from './resample/resampler.ts'
