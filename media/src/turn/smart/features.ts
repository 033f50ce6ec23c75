import type { Pcm } from '../../frame.ts'
import { LogMel, WHISPER_RATE_HZ } from '../../stt/whisper/mel.ts'

/**
 * What Smart Turn v3 listens to (pipecat-ai/smart-turn, inference.py and train.py: the last 8 s, silence in front where there is less, through
 * transformers' WhisperFeatureExtractor with chunk_length 8 and do_normalize): the end of what was said always stands at the end.
 */
export const SMART_BANDS = 80
export const SMART_FRAMES = 800
export const SMART_MS = 8_000
const SAMPLES = (SMART_MS * WHISPER_RATE_HZ) / 1_000
/** Keeps silence finite (feature_extraction_whisper.py, zero_mean_unit_var_norm). */
const EPSILON = 1e-7

const mel = new LogMel(SMART_BANDS, SMART_FRAMES)

/** `pcm` at 16 kHz; of more than 8 s the last count. 80 rows of 800 frames. */
export function smartFeatures(pcm: Pcm): Float32Array {
  const sound = new Float32Array(SAMPLES)
  const last = pcm.subarray(Math.max(0, pcm.length - SAMPLES))
  for (let index = 0; index < last.length; index++) sound[SAMPLES - last.length + index] = last[index]! / 32_768
  normalise(sound)
  return mel.features(sound, 1)
}

/** To mean 0 and variance 1, silence in front included: so the model was trained. */
function normalise(sound: Float32Array): void {
  let [sum, squares] = [0, 0]
  for (const sample of sound) sum += sample
  const mean = sum / sound.length
  for (const sample of sound) squares += (sample - mean) ** 2
  const scale = 1 / Math.sqrt(squares / sound.length + EPSILON)
  for (let index = 0; index < sound.length; index++) sound[index] = (sound[index]! - mean) * scale
}
