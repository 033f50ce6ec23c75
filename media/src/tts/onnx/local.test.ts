import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { TtsOptions } from '../contract.ts'
import { EspeakPool } from '../espeak/index.ts'
import { phonemesOf } from '../espeak/phonemes.ts'
import { kokoroVoice, type KokoroSettings } from '../kokoro/index.ts'
import { styleOf, tokensOf } from '../kokoro/tokens.ts'
import { synthesise } from '../one-shot.ts'
import { piperVoice } from '../piper/index.ts'
import { phonemeIds } from '../piper/phoneme-ids.ts'
import { SAMPLES_PER_TOKEN, tinyKokoro, tinyPiper } from '../testing/onnx.ts'
import { OnnxRunner } from './runner.ts'

const espeak = new EspeakPool()
const runner = new OnnxRunner()
let folder: string
beforeAll(async () => void (folder = await mkdtemp(join(tmpdir(), 'trunkline-voices-'))))
afterAll(async () => {
  espeak.close()
  await runner.close()
  await rm(folder, { recursive: true })
})

const signal = new AbortController().signal
const options = (voice: string, more: Partial<TtsOptions> = {}): TtsOptions => ({ voice, speed: 1, language: null, sampleRateHz: 24_000, signal, ...more })
/** One level per token, as the tiny models make them. */
const levels = (pcm: Int16Array): number[] => Array.from({ length: pcm.length / SAMPLES_PER_TOKEN }, (_, index) => pcm[index * SAMPLES_PER_TOKEN + 50]! / 32_767)
const near = (values: readonly number[]) => values.map((value) => expect.closeTo(value, 3) as number)

describe('phonemes of espeak', () => {
  it('keep words and marks apart', async () => {
    expect(await phonemesOf(espeak, 'Hello world, how are you? I pay 42!', 'en-us', signal)).toEqual([
      { words: ['həlˈoʊ', 'wˈɜːld'], mark: ',' },
      { words: ['hˈaʊ', 'ɑːɹ', 'juː'], mark: '?' },
      { words: ['aɪ', 'pˈeɪ', 'fˈɔːɹɾi', 'tˈuː'], mark: '!' },
    ])
  })

  it('of foreign words carry no flags', async () => {
    const clauses = await phonemesOf(espeak, 'Bonjour world.', 'fr', signal)
    expect(clauses.flatMap(({ words }) => words).join(' ')).not.toMatch(/[()]/)
  })

  it('become ids as Piper was trained on them', () => {
    const map = { _: [0], '^': [1], $: [2], ' ': [3], h: [20], a: [21, 22], '.': [10], '\u0303': [30] }
    expect(phonemeIds([{ words: ['ha', 'ã?'], mark: '.' }], map)).toEqual([1, 0, 20, 0, 21, 22, 0, 3, 0, 21, 22, 0, 30, 0, 10, 0, 2])
  })

  it('become tokens as Kokoro was trained on them, within its window', () => {
    expect(tokensOf([{ words: ['ra'], mark: ',' }, { words: ['xʲ☃'], mark: '' }], { ɹ: 1, a: 2, ',': 3, ' ': 4, k: 5, j: 6 })).toEqual([1, 2, 3, 4, 5, 6])
    expect(tokensOf([{ words: ['a'.repeat(600)], mark: '' }], { a: 1 })).toHaveLength(510)
    const voice = Float32Array.from({ length: 256 * 3 }, (_, index) => Math.floor(index / 256))
    expect([0, 2, 99].map((tokens) => styleOf(voice, tokens)[0])).toEqual([0, 2, 2])
  })
})

const PIPER_MAP = { _: [0], '^': [1], $: [2], ' ': [3], '.': [10], h: [20], ə: [59], l: [24], ˈ: [120], o: [27], ʊ: [100] }
const piperConfig = (more: object = {}) => JSON.stringify({ audio: { sample_rate: 24_000 }, espeak: { voice: 'en-us' }, inference: { noise_scale: 0.667, length_scale: 1.5, noise_w: 0.8 }, phoneme_type: 'espeak', phoneme_id_map: PIPER_MAP, num_speakers: 1, language: { code: 'en_US' }, ...more })

describe('Piper', () => {
  const piper = (directory = join(folder, 'piper')) => piperVoice({ directory, runner, espeak })
  beforeAll(async () => {
    const at = join(folder, 'piper')
    await mkdir(at)
    await writeFile(join(at, 'en-amy.onnx'), tinyPiper())
    await writeFile(join(at, 'en-amy.onnx.json'), piperConfig())
    await writeFile(join(at, 'en-many.onnx'), tinyPiper({ speakers: true }))
    await writeFile(join(at, 'en-many.onnx.json'), piperConfig({ num_speakers: 2, speaker_id_map: { ann: 0, bob: 3 } }))
    await writeFile(join(at, 'en-text.onnx'), tinyPiper())
    await writeFile(join(at, 'en-text.onnx.json'), piperConfig({ phoneme_type: 'text' }))
    await writeFile(join(at, 'broken.onnx'), 'this is no model')
    await writeFile(join(at, 'broken.onnx.json'), piperConfig())
    await writeFile(join(at, 'half.onnx.json'), piperConfig())
  })

  it('feeds the model the ids of what is written, at its own pace divided by the speed', async () => {
    const { pcm, spans, usage } = await synthesise(piper(), 'Hello.', options('en-amy', { speed: 2 }))
    const ids = [1, 0, 20, 0, 59, 0, 24, 0, 120, 0, 27, 0, 100, 0, 10, 0, 2]
    expect(levels(pcm)).toEqual(near(ids.map((id) => (id / 1_000) * 0.75)))
    expect(spans).toMatchObject([{ charStart: 0, charEnd: 6, startMs: 0 }])
    expect(usage).toMatchObject({ engine: 'piper', characters: 6, outcome: 'ok' })
  })

  it('is heard at another rate for as long', async () => {
    const { pcm } = await synthesise(piper(), 'Hello.', options('en-amy', { sampleRateHz: 8_000 }))
    expect(pcm.length).toBe(Math.round((17 * SAMPLES_PER_TOKEN) / 3))
  })

  it('chooses among the speakers of a voice', async () => {
    const first = await synthesise(piper(), 'Hello.', options('en-many#ann'))
    const second = await synthesise(piper(), 'Hello.', options('en-many#bob'))
    expect(levels(second.pcm)[1]! - levels(first.pcm)[1]!).toBeCloseTo(0.3, 3)
    await expect(synthesise(piper(), 'Hello.', options('en-many#eve'))).rejects.toMatchObject({ failure: { code: 'unsupported' } })
  })

  it('lists what is there', async () => {
    const at = join(folder, 'listed')
    await mkdir(at)
    await writeFile(join(at, 'en-many.onnx'), '')
    await writeFile(join(at, 'en-many.onnx.json'), piperConfig({ num_speakers: 2, speaker_id_map: { ann: 0, bob: 3 } }))
    expect(await piper(at).voices(signal)).toEqual(['en-many#ann', 'en-many#bob'].map((id) => ({ id, name: id, language: 'en-US', gender: null })))
    expect(await piper(join(folder, 'nowhere')).voices(signal)).toEqual([])
  })

  it.each([
    ['en-nobody', 'model_missing', /en-nobody\.onnx\.json/],
    ['half', 'model_missing', /half\.onnx/],
    ['en-text', 'unsupported', /espeak/],
    ['broken', 'unavailable', /./],
    ['../../etc/passwd', 'unsupported', /no voice/],
  ])('%s: %s, and says what', async (voice, code, message) => {
    await expect(synthesise(piper(), 'Hello.', options(voice))).rejects.toMatchObject({ failure: { code, message: expect.stringMatching(message) as string } })
  })

  it('a thread that dies is replaced', async () => {
    await synthesise(piper(), 'Hello.', options('en-amy'))
    await runner.kill()
    expect((await synthesise(piper(), 'Hello.', options('en-amy'))).pcm.length).toBe(17 * SAMPLES_PER_TOKEN)
  })

  it('called off, nothing more is computed for it', async () => {
    const stop = new AbortController()
    const stream = piper().speak(options('en-amy', { signal: stop.signal }))
    stream.write('Hello. Hello. Hello. Hello.')
    stream.end()
    stop.abort()
    for await (const event of stream.events) expect(event).toBeUndefined()
    expect(stream.close()).toMatchObject({ outcome: 'aborted', audioMs: 0 })
  })
})

describe('Kokoro', () => {
  const VOCABULARY = { h: 50, ə: 83, l: 54, ˈ: 156, o: 57, ʊ: 135, '.': 4, ' ': 16 }
  const kokoro = (name: string, more: Partial<KokoroSettings> = {}) => kokoroVoice({ directory: join(folder, name), runner, espeak, ...more })
  /** Row n says n hundredths. */
  const styles = Buffer.from(Float32Array.from({ length: 256 * 510 }, (_, index) => Math.floor(index / 256) / 100).buffer)

  async function lay(name: string, files: Record<string, string | Uint8Array>): Promise<void> {
    for (const [file, content] of Object.entries(files)) {
      const path = join(folder, name, file)
      await mkdir(join(path, '..'), { recursive: true })
      await writeFile(path, content)
    }
  }
  beforeAll(async () => {
    await lay('kokoro', { 'onnx/model.onnx': tinyKokoro(), 'tokenizer.json': JSON.stringify({ model: { vocab: VOCABULARY } }), 'voices/af_heart.bin': styles, 'voices/bm_george.bin': styles })
    await lay('old', { 'model.onnx': tinyKokoro({ tokens: 'tokens', speed: 'int32' }), 'config.json': JSON.stringify({ vocab: VOCABULARY }), 'voices/af_heart.bin': styles })
    await lay('voiceless', { 'onnx/model.onnx': tinyKokoro(), 'tokenizer.json': JSON.stringify({ model: { vocab: VOCABULARY } }) })
    await lay('odd', { 'onnx/model.onnx': tinyKokoro(), 'tokenizer.json': '{"half":', 'voices/af_heart.bin': 'abc' })
  })
  const TOKENS = [0, 50, 83, 54, 156, 57, 135, 4, 0]

  it('feeds the model tokens between pads, the style for their number, and the speed', async () => {
    const { pcm, usage } = await synthesise(kokoro('kokoro'), 'Hello.', options('', { speed: 2 }))
    expect(levels(pcm)).toEqual(near(TOKENS.map((token) => (token / 1_000 + 0.07) / 2)))
    expect(usage).toMatchObject({ engine: 'kokoro', outcome: 'ok' })
  })

  it('knows older exports: other names, another type of speed', async () => {
    const { pcm } = await synthesise(kokoro('old'), 'Hello.', options('af_heart', { speed: 2 }))
    expect(levels(pcm)).toEqual(near(TOKENS.map((token) => (token / 1_000 + 0.07) / 2)))
  })

  it('lists its voices with language and gender', async () => {
    expect(await kokoro('kokoro').voices(signal)).toEqual([
      { id: 'af_heart', name: 'af_heart', language: 'en-US', gender: 'female' },
      { id: 'bm_george', name: 'bm_george', language: 'en-GB', gender: 'male' },
    ])
  })

  it.each([
    ['nowhere', {}, 'model_missing', /onnx\/model\.onnx in the folder .*nowhere/],
    ['voiceless', {}, 'model_missing', /voices\/af_heart\.bin/],
    ['kokoro', { modelFile: 'onnx/model_q8.onnx' }, 'model_missing', /onnx\/model_q8\.onnx/],
    ['odd', {}, 'unsupported', /tokenizer\.json/],
  ] as const)('%s %j: %s, and says which file and where', async (name, more, code, message) => {
    await expect(synthesise(kokoro(name, more), 'Hello.', options('af_heart'))).rejects.toMatchObject({ failure: { code, message: expect.stringMatching(message) as string } })
  })

  it('where CUDA is asked for, it runs: there, or without it on the processor', async () => {
    const loaded = await runner.load(join(folder, 'kokoro', 'onnx/model.onnx'), 'cuda', signal)
    expect(loaded).toMatchObject({ inputs: ['input_ids', 'style', 'speed'], outputs: ['waveform'] })
    const { pcm } = await synthesise(kokoro('kokoro', { device: 'cuda' }), 'Hello.', options('af_heart'))
    expect(pcm.length).toBe(TOKENS.length * SAMPLES_PER_TOKEN)
  })
})
