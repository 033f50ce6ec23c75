import { z } from 'zod'
import type { Pcm } from '../../frame.ts'
import { createResampler } from '../../resample/resampler.ts'
import type { TtsEngine, TtsOptions, Voice } from '../contract.ts'
import { ttsEngine } from '../engine.ts'
import { speechError } from '../failure.ts'
import { joinPcm } from '../one-shot.ts'
import { fileName } from '../onnx/directory.ts'
import { LocalVoice, type LocalVoiceSettings } from '../onnx/local-voice.ts'
import type { TensorValue } from '../onnx/runner.ts'
import { phonemeIds } from './phoneme-ids.ts'

/** `directory` with `<voice>.onnx` and `<voice>.onnx.json` for every voice. */
export type PiperSettings = LocalVoiceSettings

const ID = 'piper'

/** The voice's own settings, as its training wrote them (piper, `config.json`). */
const Config = z.object({
  audio: z.object({ sample_rate: z.number().int().min(4_000).max(192_000) }),
  espeak: z.object({ voice: z.string() }),
  language: z.object({ code: z.string() }).optional(),
  phoneme_type: z.string().default('espeak'),
  inference: z.object({ noise_scale: z.number().default(0.667), length_scale: z.number().default(1), noise_w: z.number().default(0.8) }).prefault({}),
  num_speakers: z.number().int().default(1),
  speaker_id_map: z.record(z.string(), z.number().int()).default({}),
  phoneme_id_map: z.record(z.string(), z.array(z.number().int())),
})
type Config = z.infer<typeof Config>

/** Piper's voices on this machine. `voice`: the name of the file, with `#speaker` for one of several speakers in it. */
export function piperVoice(settings: PiperSettings): TtsEngine {
  return ttsEngine(new Piper(settings), settings.engine)
}

class Piper extends LocalVoice {
  readonly id = ID
  readonly model = 'piper'
  /** A voice's sound ends with its last phoneme. */
  readonly pauses = { sentenceMs: 200, clauseMs: 0 }
  readonly #configs = new Map<string, Config>()

  constructor(settings: PiperSettings) {
    super(ID, settings)
  }

  /** Voices have rates of their own (16,000 or 22,050); what is said is brought to one of the house's. */
  sampleRateHz(wanted: number): number {
    return wanted
  }

  async voices(): Promise<Voice[]> {
    const names = await this.directory.list('', '.onnx')
    const voices = await Promise.all(names.map(async (name) => voicesOf(name, await this.#config(name))))
    return voices.flat()
  }

  protected async sound(text: string, options: Omit<TtsOptions, 'signal'>, signal: AbortSignal): Promise<Pcm> {
    const { name, speaker } = parseVoice(options.voice)
    const config = await this.#config(name)
    const model = await this.directory.find(`${name}.onnx`)
    const ids = phonemeIds(await this.phonemes(text, config.espeak.voice, signal), config.phoneme_id_map)
    const pcm = await this.run(model, inputsOf(ids, config, speakerId(config, speaker), options.speed), signal)
    return atRate(pcm, config.audio.sample_rate, options.sampleRateHz)
  }

  async #config(name: string): Promise<Config> {
    const known = this.#configs.get(name)
    if (known) return known
    const config = await this.directory.json(Config, `${name}.onnx.json`)
    if (config.phoneme_type !== 'espeak') throw speechError('unsupported', `${ID}: ${name} wants phonemes of the kind ${config.phoneme_type.slice(0, 32)}, not espeak`)
    this.#configs.set(name, config)
    return config
  }
}

/** What the models call their inputs (piper_train, `export_onnx.py`). Slower is longer: the scale is the inverse of the speed. */
function inputsOf(ids: readonly number[], { inference, num_speakers: speakers }: Config, speaker: number, speed: number): Record<string, TensorValue> {
  const scales = Float32Array.of(inference.noise_scale, inference.length_scale / speed, inference.noise_w)
  return {
    input: { type: 'int64', data: ids, dims: [1, ids.length] },
    input_lengths: { type: 'int64', data: [ids.length], dims: [1] },
    scales: { type: 'float32', data: scales, dims: [3] },
    ...(speakers > 1 ? { sid: { type: 'int64', data: [speaker], dims: [1] } } : {}),
  }
}

function parseVoice(voice: string): { name: string; speaker: string | null } {
  const [name = '', speaker] = voice.split('#')
  return { name: fileName(ID, name), speaker: speaker ?? null }
}

function speakerId({ speaker_id_map: speakers }: Config, speaker: string | null): number {
  if (speaker === null) return 0
  const id = speakers[speaker]
  if (id === undefined) throw speechError('unsupported', `${ID}: this voice has no speaker of that name`)
  return id
}

function voicesOf(name: string, { speaker_id_map: speakers, language, espeak }: Config): Voice[] {
  const tag = (language?.code ?? espeak.voice).replaceAll('_', '-')
  const ids = Object.keys(speakers).length > 1 ? Object.keys(speakers).map((speaker) => `${name}#${speaker}`) : [name]
  return ids.map((id) => ({ id, name: id, language: tag, gender: null }))
}

function atRate(pcm: Pcm, fromHz: number, toHz: number): Pcm {
  const resampler = createResampler({ fromHz, toHz, aligned: true })
  const parts = [resampler.process(pcm), resampler.flush()]
  resampler.close()
  return joinPcm(parts)
}
