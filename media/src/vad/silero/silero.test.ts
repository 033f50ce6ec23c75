import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { LogFields, Logger } from '@trunkline/core'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Pcm } from '../../frame.ts'
import { floats, node, onnxModel } from '../../stt/whisper/testing/onnx.ts'
import { EspeakPool, espeakEngine } from '../../tts/espeak/index.ts'
import { joinPcm, synthesise } from '../../tts/one-shot.ts'
import type { Vad, VadOptions } from '../contract.ts'
import { createEnergyVad } from '../energy.ts'
import { SpeechEdges, type SpeechEdge } from '../speech-edges.ts'
import { createSileroVad, openVad, type SileroVad } from './index.ts'
import { SileroPool } from './pool.ts'

type Rate = VadOptions['sampleRateHz']
type Told = { probability: number; endMs: number }
const RATES: readonly Rate[] = [8_000, 16_000]

const espeak = new EspeakPool()
let vad: SileroVad
const speech = {} as Record<Rate, Pcm>
beforeAll(async () => {
  vad = await createSileroVad()
  for (const sampleRateHz of RATES) {
    const { pcm } = await synthesise(espeakEngine({ pool: espeak }), 'Good morning, I would like to book a table for two this evening.', { voice: 'en-us', speed: 1, language: 'en', sampleRateHz, signal: new AbortController().signal })
    speech[sampleRateHz] = pcm
  }
})
afterAll(async () => {
  espeak.close()
  await vad.close()
})

const silence = (ms: number, rateHz: Rate): Pcm => new Int16Array((ms * rateHz) / 1_000)
/** White, repeatable. */
function noise(ms: number, rateHz: Rate, loudness: number, seed = 1): Pcm {
  let state = seed
  return silence(ms, rateHz).map(() => ((state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0) / 2 ** 31 - 1) * loudness)
}

/** A call: sound goes in as from a line, `heard` resolves when all of it was judged. */
function call(detector: Vad, sampleRateHz: Rate, frameMs = 20) {
  const told: Told[] = []
  const waiting: { endMs: number; resolve: () => void }[] = []
  const stream = detector.open({
    sampleRateHz,
    onProbability(probability, endMs) {
      told.push({ probability, endMs })
      while (waiting[0] && endMs >= waiting[0].endMs) waiting.shift()!.resolve()
    },
  })
  let pushed = 0
  const push = (pcm: Pcm) => {
    stream.push(pcm)
    pushed += pcm.length
  }
  const judged = () => {
    const windows = Math.floor((pushed * 1_000) / sampleRateHz / 32)
    if (windows === 0 || (told.at(-1)?.endMs ?? 0) >= windows * 32) return Promise.resolve()
    return new Promise<void>((resolve) => waiting.push({ endMs: windows * 32, resolve }))
  }
  return {
    told, stream, push, judged,
    async heard(pcm: Pcm): Promise<Told[]> {
      const frame = (frameMs * sampleRateHz) / 1_000
      for (let at = 0; at < pcm.length; at += frame) {
        push(pcm.subarray(at, at + frame))
        // Half a second at once at most: so much is kept for a thread that is busy.
        if (at % (sampleRateHz / 2) < frame) await judged()
      }
      await judged()
      return told
    },
  }
}

function edgesOf(told: readonly Told[]): SpeechEdge[] {
  const edges = new SpeechEdges()
  return told.flatMap(({ probability, endMs }) => edges.push(probability, endMs))
}
const loudest = (told: readonly Told[]): number => Math.max(...told.map(({ probability }) => probability))

/** A log that tests can wait on. */
function journal() {
  const lines: { level: string; fields: LogFields; message: string }[] = []
  const waiting: { what: RegExp; resolve: () => void }[] = []
  const write = (level: string) => (fields: LogFields, message: string) => {
    lines.push({ level, fields, message })
    for (const { what, resolve } of waiting) if (what.test(message)) resolve()
  }
  const log: Logger = { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') }
  return { lines, log, says: (what: RegExp) => new Promise<void>((resolve) => waiting.push({ what, resolve })) }
}

describe.each(RATES)('Silero at %i Hz', (rateHz) => {
  it('finds where speech begins and ends', async () => {
    const pcm = joinPcm([silence(1_000, rateHz), speech[rateHz], silence(1_500, rateHz)])
    const told = await call(vad, rateHz).heard(pcm)
    expect(told.map(({ endMs }) => endMs)).toEqual(Array.from({ length: told.length }, (_, index) => (index + 1) * 32))
    const edges = edgesOf(told)
    const speechMs = (speech[rateHz].length * 1_000) / rateHz
    expect(edges[0]).toMatchObject({ type: 'start' })
    expect(Math.abs(edges[0]!.atMs - 1_000)).toBeLessThan(150)
    expect(edges.at(-1)).toMatchObject({ type: 'stop' })
    expect(Math.abs(edges.at(-1)!.atMs - 1_000 - speechMs)).toBeLessThan(400)
  })

  it('takes neither silence nor noise for speech, where loudness is taken in', async () => {
    expect(loudest(await call(vad, rateHz).heard(silence(1_500, rateHz)))).toBeLessThan(0.2)
    const burst = joinPcm([silence(1_000, rateHz), noise(1_500, rateHz, 8_000), silence(500, rateHz)])
    expect(edgesOf(await call(vad, rateHz).heard(burst))).toEqual([])
    expect(edgesOf(await call(createEnergyVad(), rateHz).heard(burst))).not.toEqual([])
  })

  it('many calls in one run get what each gets alone', async () => {
    const alone = await createSileroVad({ rows: 1, collectMs: 0 })
    try {
      const sounds = Array.from({ length: 12 }, (_, index) => joinPcm([noise(index * 37, rateHz, 300, index + 1), speech[rateHz].subarray(index * 400, index * 400 + rateHz)]))
      const before = vad.stats
      const together = await Promise.all(sounds.map((sound) => call(vad, rateHz).heard(sound)))
      const after = vad.stats
      expect(after.windows - before.windows).toBeGreaterThan(2 * (after.batches - before.batches))
      for (const [index, sound] of sounds.entries()) {
        const one = await call(alone, rateHz).heard(sound)
        expect(together[index]!.map(({ endMs }) => endMs)).toEqual(one.map(({ endMs }) => endMs))
        for (const [at, { probability }] of one.entries()) expect(together[index]![at]!.probability).toBeCloseTo(probability, 4)
      }
    } finally {
      await alone.close()
    }
  })

  it('how the sound is cut into frames changes nothing', async () => {
    const pcm = speech[rateHz].subarray(0, rateHz)
    const whole = await call(vad, rateHz, 20).heard(pcm)
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 1, max: rateHz / 4 }), { minLength: 1, maxLength: 20 }), async (cuts) => {
        const one = call(vad, rateHz)
        for (let at = 0, cut = 0; at < pcm.length; cut++) {
          const length = cuts[cut % cuts.length]!
          one.push(pcm.subarray(at, at + length))
          at += length
          if (cut % 3 === 0) await one.judged()
        }
        await one.judged()
        expect(one.told.map(({ endMs }) => endMs)).toEqual(whole.map(({ endMs }) => endMs))
        for (const [at, { probability }] of whole.entries()) expect(one.told[at]!.probability).toBeCloseTo(probability, 4)
      }),
      { numRuns: 8 },
    )
  })
})

describe('when threads fail', () => {
  const ofFallback = 0.123
  /** Tells what no model would, of every frame. */
  const fallback: Vad = { ...createEnergyVad(), open: ({ sampleRateHz, onProbability }) => {
    let samples = 0
    return { push: (pcm) => onProbability(ofFallback, ((samples += pcm.length) * 1_000) / sampleRateHz), close: () => {} }
  } }
  const half = () => speech[8_000].subarray(0, 4_000)

  it('a call goes on by the fallback until the thread is back, and by the model then; time never goes back', async () => {
    const { log, lines, says } = journal()
    const detector = await createSileroVad({ fallback, log })
    try {
      const one = call(detector, 8_000)
      await one.heard(half())
      expect(one.told.map(({ probability }) => probability)).not.toContain(ofFallback)
      await detector.kill()
      expect(detector.stats).toMatchObject({ listening: false, deaths: 1 })
      const before = one.told.length
      const back = says(/back/)
      await one.heard(half())
      expect(one.told.slice(before).every(({ probability }) => probability === ofFallback)).toBe(true)
      await back
      expect(lines.map(({ level }) => level)).toEqual(['warn', 'info'])
      await one.heard(half())
      expect(one.told.at(-1)!.probability).not.toBe(ofFallback)
      for (const [at, { endMs }] of one.told.entries()) expect(endMs).toBeGreaterThan(one.told[at - 1]?.endMs ?? 0)
    } finally {
      await detector.close()
    }
  })

  it('killed under a batch: what was with it is lost, nothing else', async () => {
    const detector = await createSileroVad({ fallback, collectMs: 0 })
    try {
      const calls = Array.from({ length: 5 }, () => call(detector, 8_000))
      await Promise.all(calls.map((one) => one.heard(half())))
      for (const one of calls) one.push(half())
      await detector.kill()
      for (const one of calls) await one.heard(half())
      for (const { told } of calls) expect(told.at(-1)).toEqual({ probability: ofFallback, endMs: 1_500 })
    } finally {
      await detector.close()
    }
  })

  it('of two threads the other one takes the calls: nobody is judged by the fallback', async () => {
    const { log, says } = journal()
    const detector = await createSileroVad({ fallback, threads: 2, collectMs: 0, log })
    try {
      const one = call(detector, 8_000)
      await one.heard(half())
      const back = says(/back/)
      await detector.kill()
      expect(detector.stats).toMatchObject({ listening: true, deaths: 1 })
      await one.heard(half())
      expect(one.told.map(({ probability }) => probability)).not.toContain(ofFallback)
      expect(one.told).toHaveLength(31)
      await back
      // Again, now with a window that may be with the thread.
      one.push(half())
      await detector.kill()
      await one.heard(half())
      expect(one.told.at(-1)!.endMs).toBe(1_984)
      expect(one.told.map(({ probability }) => probability)).not.toContain(ofFallback)
    } finally {
      await detector.close()
    }
  })

  it('one that hangs is given up, and its calls go on', async () => {
    const { log, says } = journal()
    const pool = new SileroPool({ entry: new URL('./testing/hanging.ts', import.meta.url), model: '', threads: 1, rows: 8, collectMs: 0, watchMs: 20, fallback, log })
    try {
      await pool.start()
      const [one, other] = [call(pool, 8_000), call(pool, 8_000)]
      await other.heard(half())
      const back = says(/is back/)
      one.push(new Int16Array(4_096).fill(32_767))
      await back
      expect(pool.stats).toMatchObject({ listening: true, deaths: 1 })
      for (const { push, judged, told } of [one, other]) {
        push(half())
        await judged()
        expect(told.at(-1)!.probability).toBe(1)
      }
    } finally {
      await pool.close()
    }
  })

  it("one call's fault does not reach the others of its batch", async () => {
    const { log, lines } = journal()
    const detector = await createSileroVad({ log })
    try {
      const broken = detector.open({ sampleRateHz: 8_000, onProbability: () => {
        throw new Error('of this call')
      } })
      const one = call(detector, 8_000)
      broken.push(half())
      await one.heard(half())
      expect(one.told).toHaveLength(15)
      expect(lines.map(({ level }) => level)).toContain('error')
    } finally {
      await detector.close()
    }
  })
})

describe('under load', () => {
  it('of more than is kept, the oldest windows are dropped and counted; the newest are judged, in order', async () => {
    const before = vad.stats.dropped
    const one = call(vad, 16_000)
    const pcm = joinPcm([speech[16_000], speech[16_000]]).subarray(0, 16_000 * 3)
    one.push(pcm)
    await one.judged()
    const windows = Math.floor(pcm.length / 512)
    expect(one.told.map(({ endMs }) => endMs)).toEqual(Array.from({ length: 30 }, (_, index) => (windows - 29 + index) * 32))
    expect(vad.stats.dropped - before).toBe(windows - 30)
  })

  it('more calls than fit into one run are judged in several', async () => {
    const small = await createSileroVad({ rows: 4 })
    try {
      const told = await Promise.all(Array.from({ length: 11 }, () => call(small, 8_000).heard(speech[8_000].subarray(0, 8_000))))
      for (const one of told) expect(one).toHaveLength(31)
      expect(small.stats).toMatchObject({ windows: 11 * 31, dropped: 0 })
    } finally {
      await small.close()
    }
  })
})

describe('opening and closing', () => {
  it('nothing is told after a stream or the detector was closed, and both close twice', async () => {
    const detector = await createSileroVad()
    const [closed, open] = [call(detector, 8_000), call(detector, 16_000)]
    closed.push(speech[8_000].subarray(0, 2_000))
    open.push(speech[16_000].subarray(0, 4_000))
    closed.stream.close()
    closed.stream.close()
    await open.judged()
    expect(closed.told).toEqual([])
    expect(detector.stats.streams).toBe(1)
    const before = open.told.length
    open.push(speech[16_000].subarray(0, 4_000))
    await Promise.all([detector.close(), detector.close()])
    open.push(speech[16_000])
    const late = call(detector, 8_000)
    late.push(speech[8_000])
    expect([open.told.length, late.told.length]).toEqual([before, 0])
  })

  it('says what is missing and what is no such model; by loudness it goes on', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'silero-'))
    try {
      const [missing, other, broken] = ['missing.onnx', 'other.onnx', 'broken.onnx'].map((name) => join(folder, name)) as [string, string, string]
      await writeFile(other, onnxModel({ inputs: [{ name: 'input', type: 'float32', dims: [1] }], outputs: [{ name: 'output', type: 'float32', dims: [1] }], constants: [floats('one', [1], Float32Array.of(1))], nodes: [node('Add', ['input', 'one'], ['output'])] }))
      await writeFile(broken, 'this is no model')
      await expect(createSileroVad({ model: missing })).rejects.toMatchObject({ failure: { code: 'model_missing' } })
      await expect(createSileroVad({ model: other })).rejects.toMatchObject({ failure: { code: 'unsupported' } })
      await expect(createSileroVad({ threads: 0 })).rejects.toThrow(RangeError)
      await expect(createSileroVad({ model: broken })).rejects.toMatchObject({ failure: { code: 'unavailable' } })
      const { log, lines } = journal()
      const energy = createEnergyVad()
      expect(await openVad({ model: missing, fallback: energy, log })).toBe(energy)
      expect(lines).toMatchObject([{ level: 'warn', fields: { detector: 'energy', reason: expect.stringContaining('missing.onnx') as string } }])
    } finally {
      await rm(folder, { recursive: true })
    }
  })

  it('is the model where it can run', async () => {
    const { log, lines } = journal()
    const opened = await openVad({ log })
    expect(lines).toMatchObject([{ level: 'info', fields: { detector: 'silero' } }])
    await opened.close()
  })
})
