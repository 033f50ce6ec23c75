import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { LogFields } from '@trunkline/core'
import { silentLogger } from '@trunkline/core'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Pcm } from '../../frame.ts'
import { floats, ints, node, onnxModel } from '../../stt/whisper/testing/onnx.ts'
import { SMART_BANDS, SMART_FRAMES, smartFeatures } from './features.ts'
import { createSmartTurn, type SmartTurn } from './index.ts'
import { RecentSound } from './sound.ts'

/** Rising from 200 Hz, three seconds. */
const sweep = Int16Array.from({ length: 48_000 }, (_, at) => Math.round(8_000 * Math.sin((2 * Math.PI * (200 + (at / 48_000) * 1_500) * at) / 16_000)))
/** Ten seconds of a tone that becomes louder: only the last eight count. */
const swell = Int16Array.from({ length: 160_000 }, (_, at) => Math.round(8_000 * Math.sin((2 * Math.PI * 440 * at) / 16_000) * (at / 160_000)))
const toneAt = (rateHz: number, ms: number): Pcm => Int16Array.from({ length: (rateHz * ms) / 1_000 }, (_, at) => Math.round(9_000 * Math.sin((2 * Math.PI * 600 * at) / rateHz)))

describe('what Smart Turn listens to', () => {
  // Numbers of transformers' own WhisperFeatureExtractor(chunk_length=8), with do_normalize, for the same samples padded in front.
  it.each([
    ['less than 8 s', sweep, [[0, 0, -0.215635], [40, 400, -0.215635], [20, 799, 0.109667], [30, 799, 0.129862], [5, 510, 1.350488]]],
    ['more than 8 s', swell, [[0, 0, 0.955774], [10, 0, 1.308939], [10, 400, 1.55951], [79, 799, -0.240535], [9, 799, 1.487047], [11, 799, 1.757141]]],
  ] as const)('are the features that it was trained on: %s', (_, pcm, points) => {
    const features = smartFeatures(pcm)
    expect(features).toHaveLength(SMART_BANDS * SMART_FRAMES)
    for (const [band, frame, value] of points) expect(features[band * SMART_FRAMES + frame]).toBeCloseTo(value, 3)
  })

  it('are finite for silence and for nothing', () => {
    for (const pcm of [new Int16Array(16_000), new Int16Array(0)]) expect(smartFeatures(pcm).every(Number.isFinite)).toBe(true)
  })
})

describe('the last seconds of a stream', () => {
  it('are what was pushed last, however it was cut', () => {
    fc.assert(fc.property(fc.integer({ min: 1, max: 50 }), fc.array(fc.array(fc.integer({ min: -32_768, max: 32_767 }), { maxLength: 80 }), { maxLength: 20 }), fc.integer({ min: -10, max: 400 }), (size, pieces, from) => {
      const sound = new RecentSound(size)
      for (const piece of pieces) sound.push(Int16Array.from(piece))
      const all = pieces.flat()
      expect(sound.written).toBe(all.length)
      expect([...sound.since(from)]).toEqual(all.slice(Math.max(0, from, all.length - size)))
    }))
  })
})

const [BAND, FRAME] = [17, 795]
/** Inputs and output of the real one; its verdict is the loudness of one band shortly before the end. */
const tinySmartTurn = (input = 'input_features'): Uint8Array => onnxModel({
  inputs: [{ name: input, type: 'float32', dims: ['batch', SMART_BANDS, SMART_FRAMES] }],
  outputs: [{ name: 'logits', type: 'float32', dims: ['batch', 1] }],
  constants: [ints('band', [], [BAND]), ints('frame', [1], [FRAME])],
  nodes: [node('Gather', [input, 'band'], ['row'], { axis: 1 }), node('Gather', ['row', 'frame'], ['point'], { axis: 1 }), node('Sigmoid', ['point'], ['logits'])],
})
const verdictOn = (pcm: Pcm): number => 1 / (1 + Math.exp(-smartFeatures(pcm)[BAND * SMART_FRAMES + FRAME]!))

describe('a model of the real inputs and outputs', () => {
  let folder: string
  let path: string
  let smart: SmartTurn
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'smart-turn-'))
    path = join(folder, 'smart-turn.onnx')
    await writeFile(path, tinySmartTurn())
    // Deadlines are for calls, not for a busy machine that tests.
    smart = await createSmartTurn({ modelPath: path, deadlineMs: 20_000 })
  })
  afterAll(async () => {
    await smart.close()
    await rm(folder, { recursive: true })
  })

  it('judges the sound that it was given, which stays the caller\'s', async () => {
    const own = sweep.slice()
    expect(await smart.judge(own)).toBeCloseTo(verdictOn(sweep), 5)
    expect(own).toEqual(sweep)
    expect(await smart.judge(swell)).toBeCloseTo(verdictOn(swell), 5)
  })

  it('hears a telephone line as wide as the model wants it', async () => {
    expect(await smart.judge(toneAt(8_000, 3_000), 8_000)).toBeCloseTo(verdictOn(toneAt(16_000, 3_000)), 1)
    expect(Math.abs(verdictOn(toneAt(16_000, 3_000)) - verdictOn(new Int16Array(48_000)))).toBeGreaterThan(0.2)
  })

  it('says nothing rather than late, once in the log, and judges the next again', async () => {
    const said: LogFields[] = []
    const hurried = await createSmartTurn({ modelPath: path, deadlineMs: 0, log: { ...silentLogger, warn: (fields) => said.push(fields) } })
    expect(await Promise.all([hurried.judge(sweep), hurried.judge(sweep)])).toEqual([null, null])
    expect(said).toHaveLength(1)
    await hurried.close()
    expect(await hurried.judge(sweep)).toBeNull()
    expect(await smart.judge(sweep)).not.toBeNull()
  })

  it('of a call: judges from half a second before its speech to the pause, and not what is over', async () => {
    const verdicts: number[] = []
    let told = Promise.withResolvers<void>()
    const stream = smart.open({ sampleRateHz: 16_000, onVerdict: (probability) => (verdicts.push(probability), told.resolve()) })
    stream.speechStopped()
    stream.push(toneAt(16_000, 2_000))
    stream.push(new Int16Array(16_000))
    stream.speechStarted()
    stream.push(sweep)
    stream.speechStopped()
    await told.promise
    const turn = new Int16Array(8_000 + sweep.length)
    turn.set(sweep, 8_000)
    expect(verdicts).toEqual([expect.closeTo(verdictOn(turn), 5)])
    // The caller goes on, the turn ends, the call ends: nobody wants the verdicts of before.
    for (const after of ['speechStarted', 'turnEnded', 'close'] as const) {
      stream.speechStarted()
      stream.speechStopped()
      stream[after]()
    }
    told = Promise.withResolvers()
    const other = smart.open({ sampleRateHz: 16_000, onVerdict: () => told.resolve() })
    other.push(sweep)
    other.speechStarted()
    other.speechStopped()
    await told.promise
    expect(verdicts).toHaveLength(1)
  })

  it('says at once what is missing or no such model', async () => {
    const [other, broken, wide] = ['other.onnx', 'broken.onnx', 'wide.onnx'].map((name) => join(folder, name)) as [string, string, string]
    await writeFile(other, tinySmartTurn('sound'))
    await writeFile(broken, 'this is no model')
    await writeFile(wide, onnxModel({ inputs: [{ name: 'input_features', type: 'float32', dims: ['batch', SMART_BANDS, SMART_FRAMES] }], outputs: [{ name: 'logits', type: 'float32', dims: ['batch', SMART_BANDS, SMART_FRAMES] }], constants: [floats('one', [1], Float32Array.of(1))], nodes: [node('Add', ['input_features', 'one'], ['logits'])] }))
    await expect(createSmartTurn({ modelPath: join(folder, 'nowhere.onnx') })).rejects.toMatchObject({ failure: { code: 'model_missing', message: expect.stringContaining('nowhere.onnx') as string } })
    await expect(createSmartTurn({ modelPath: other })).rejects.toMatchObject({ failure: { code: 'unsupported', message: expect.stringContaining('input_features') as string } })
    await expect(createSmartTurn({ modelPath: wide })).rejects.toMatchObject({ failure: { code: 'unsupported' } })
    await expect(createSmartTurn({ modelPath: broken })).rejects.toMatchObject({ failure: { code: 'unavailable' } })
  })
})
