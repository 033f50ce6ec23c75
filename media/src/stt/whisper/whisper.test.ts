import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import type { SttEvent, SttOptions } from '../contract.ts'
import { Fft } from './fft.ts'
import { LogMel, WHISPER_FRAMES, melFilters } from './mel.ts'
import { applyRules, best } from './rules.ts'
import type { TokenRules } from './rules.ts'
import { BANDS, FIRST_TIME, IDS, VOCABULARY, WIDTH, random, scripted, timeToken, wordToken, writeTinyWhisper } from './testing/tiny.ts'
import type { TinyOptions, Weights } from './testing/tiny.ts'
import { Vocabulary } from './vocabulary.ts'
import type { WhisperEngine } from './index.ts'
import { whisperStt } from './index.ts'

const cleanUps: (() => Promise<unknown>)[] = []
afterAll(async () => {
  for (const cleanUp of cleanUps) await cleanUp()
})

async function engineOf(weights: Weights, options: TinyOptions = {}): Promise<{ engine: WhisperEngine; path: string }> {
  const path = await writeTinyWhisper(weights, options)
  const engine = whisperStt({ directory: path })
  cleanUps.push(() => engine.close(), () => rm(path, { recursive: true }))
  return { engine, path }
}
const options = (more: Partial<SttOptions> = {}): SttOptions => ({ sampleRateHz: 16_000, language: 'en', keyterms: [], signal: new AbortController().signal, ...more })
const tone = (ms: number, hz = 440, rate = 16_000) => Int16Array.from({ length: (rate * ms) / 1_000 }, (_, n) => 8_000 * Math.sin((2 * Math.PI * hz * n) / rate))
/** Behind the prompt of three tokens; the first two positions answer nobody. */
const say = (...tokens: number[]) => scripted([IDS.en, IDS.end, ...tokens, IDS.end])

describe('the transform', () => {
  it('is the sum that defines it, for any length', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 60 }).chain((length) => fc.array(fc.double({ min: -1, max: 1, noNaN: true }), { minLength: length, maxLength: length })), (input) => {
        const fft = new Fft(input.length)
        fft.transform(Float64Array.from(input))
        for (let bin = 0; bin < input.length; bin++) {
          const angle = (index: number) => (2 * Math.PI * index * bin) / input.length
          expect(fft.re[bin]).toBeCloseTo(input.reduce((sum, one, index) => sum + one * Math.cos(angle(index)), 0), 9)
          expect(fft.im[bin]).toBeCloseTo(input.reduce((sum, one, index) => sum - one * Math.sin(angle(index)), 0), 9)
        }
      }),
      { numRuns: 50 },
    )
  })
})

describe('what Whisper hears', () => {
  it('has the filters of its own files (preprocessor_config.json, mel_filters)', () => {
    // Of the bin at 40 Hz, in the first two bands.
    const [first, second] = melFilters(80)
    expect([first!.from, second!.from]).toEqual([1, 1])
    expect(first!.weights[0]).toBeCloseTo(0.02486259490251541, 8)
    expect(second!.weights[0]).toBeCloseTo(0.001990821911022067, 8)
  })

  it('of silence is the same everywhere, of a tone the most in its own band', () => {
    const mel = new LogMel(BANDS)
    expect(new Set(mel.features(new Int16Array(16_000)))).toEqual(new Set([-1.5]))
    const features = mel.features(tone(1_000, 1_000))
    const levels = Array.from({ length: BANDS }, (_, band) => features[band * WHISPER_FRAMES + 50]!)
    const loudest = levels.indexOf(Math.max(...levels))
    const { from, weights } = melFilters(BANDS)[loudest]!
    expect(from * 40).toBeLessThanOrEqual(1_000)
    expect((from + weights.length - 1) * 40).toBeGreaterThanOrEqual(1_000)
    expect(features[loudest * WHISPER_FRAMES + 200]).toBeCloseTo(Math.max(...levels) - 2, 5)
  })
})

describe('tokens', () => {
  it('become text by their bytes; a character may lie in two', () => {
    const vocabulary = new Vocabulary({ model: { vocab: { Hello: 0, 'ĠGr': 1, 'Ã': 2, '¼': 3, 'ÃŁe': 4 } }, added_tokens: [{ id: 5, content: '<|x|>' }] })
    expect(vocabulary.text([0, 1, 2, 3, 4, 5])).toBe('Hello Grüße')
    expect([vocabulary.special('<|x|>'), vocabulary.special('<|y|>')]).toEqual([5, null])
  })

  it('obey the rules of times, whatever the model wants', () => {
    const rules: TokenRules = { end: IDS.end, noTimestamps: IDS.noTimestamps, suppressed: [2], suppressedFirst: [0], maxFirstTime: 50 }
    fc.assert(
      fc.property(fc.integer(), fc.integer({ min: 1, max: 40 }), (seed, count) => {
        let state = seed >>> 0
        const said: number[] = []
        for (let n = 0; n < count; n++) {
          const logits = Float32Array.from({ length: VOCABULARY }, () => ((state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0) / 2 ** 32) * 10)
          // Words have a chance only when times, which are many, are unlikely.
          for (let token = FIRST_TIME; token < VOCABULARY; token++) logits[token]! -= state % 2 === 0 ? 0 : 12
          applyRules(logits, said, rules)
          const next = best(logits)
          if (!next || next.token === IDS.end) break
          said.push(next.token)
        }
        const times = said.filter((token) => token >= FIRST_TIME)
        expect(said.length === 0 || (said[0]! >= FIRST_TIME && said[0]! <= timeToken(1_000))).toBe(true)
        expect(times).toEqual(times.toSorted((a, b) => a - b))
        expect(said).not.toContain(2)
        expect(said.filter((token) => token >= IDS.end && token < FIRST_TIME)).toEqual([])
        // Never three times in a row, and never a pair without text before its end.
        for (let at = 2; at < said.length; at++) expect(said.slice(at - 2, at + 1).every((token) => token >= FIRST_TIME)).toBe(false)
      }),
      { numRuns: 100 },
    )
  })
})

describe('local Whisper, on tiny models with the real inputs and outputs', () => {
  it('says what its decoder says, with the times of its pieces', async () => {
    const { engine } = await engineOf(say(timeToken(0), wordToken('Hello'), wordToken('Ġworld'), wordToken('.'), timeToken(800), timeToken(1_000), wordToken('ĠGr'), wordToken('Ã¼'), wordToken('ÃŁe'), timeToken(1_600)))
    const heard = await engine.transcribe(tone(2_000), options())
    expect(heard).toMatchObject({ text: 'Hello world. Grüße', language: 'en', usage: { engine: 'whisper', outcome: 'ok', audioMs: 2_000 } })
    expect(heard.words.map(({ text, startMs, endMs }) => [text, Math.round(startMs), Math.round(endMs)])).toEqual([['Hello', 0, 369], ['world.', 369, 800], ['Grüße', 1_000, 1_600]])
    expect(heard.words[0]!.confidence).toBeGreaterThan(0.9)
  })

  it.each([2, 3, 4, 5, 6])('remembers what it heard and said: the answers are those of the whole computed anew (random model %i)', async (seed) => {
    const weights = random(seed)
    const { engine } = await engineOf(weights)
    const pcm = tone(1_500, 200 + 150 * seed)
    const heard = await engine.transcribe(pcm, options())
    expect(heard.text).toBe(reference(weights, pcm))
    expect(heard.text).not.toBe('')
  })

  it('finds the language out when nobody tells it, also one that it does not know', async () => {
    const { engine } = await engineOf(scripted([IDS.de, IDS.end, timeToken(0), wordToken('Ġyes'), timeToken(400), IDS.end]))
    expect(await engine.transcribe(tone(500), options({ language: null }))).toMatchObject({ text: 'yes', language: 'de' })
    expect((await engine.transcribe(tone(500), options({ language: 'tlh' }))).language).toBe('de')
    expect((await engine.transcribe(tone(500), options({ language: 'en-GB' }))).language).toBe('en')
  })

  it('an English-only model is asked without language and task', async () => {
    const { engine } = await engineOf(scripted([timeToken(0), wordToken('ĠAda'), timeToken(400), IDS.end]), { multilingual: false })
    expect((await engine.transcribe(tone(500), options({ language: null }))).text).toBe('Ada')
  })

  it('hears live, in segments, at the rate of a telephone', async () => {
    const { engine } = await engineOf(say(timeToken(0), wordToken('Hello'), timeToken(400)))
    const stream = engine.open(options({ sampleRateHz: 8_000 }))
    const events: SttEvent[] = []
    const reading = (async () => {
      for await (const event of stream.events) {
        events.push(event)
        if (event.type === 'finished' && events.filter(({ type }) => type === 'finished').length === 2) return
      }
    })()
    for (let round = 0; round < 2; round++) {
      stream.push(new Int16Array(8_000))
      stream.push(tone(600, 440, 8_000))
      stream.finish()
    }
    await reading
    expect(events.map((event) => (event.type === 'final' ? event.text : event.type))).toEqual(['Hello', 'finished', 'Hello', 'finished'])
    expect(stream.close()).toMatchObject({ outcome: 'ok', audioMs: 3_200 })
  })

  it('takes small files first, and the processor where CUDA was asked for and is not', async () => {
    const { engine, path } = await engineOf(say(timeToken(0), wordToken('Ġyes'), timeToken(400)), { suffix: '_quantized' })
    expect((await engine.transcribe(tone(500), options())).text).toBe('yes')
    const asked = whisperStt({ directory: path, device: 'cuda', precision: 'q8' })
    cleanUps.push(() => asked.close())
    expect(await asked.load(new AbortController().signal)).toMatch(/^(cpu|cuda)$/)
    expect((await asked.transcribe(tone(500), options())).text).toBe('yes')
  })

  it('noise that the model itself holds for no speech has no words', async () => {
    const weights = say(timeToken(0), wordToken('Hello'), timeToken(400))
    weights.byPosition[IDS.noSpeech] = 30
    // Unsure of every word: ten are about as likely.
    for (let position = 2; position < 6; position++) for (let token = 0; token < VOCABULARY; token++) weights.byPosition[position * VOCABULARY + token]! *= 0.01
    const { engine } = await engineOf(weights)
    expect((await engine.transcribe(tone(500), options())).text).toBe('')
  })

  it('a model that says the same for ever is stopped', async () => {
    const { engine } = await engineOf(say(timeToken(0), ...Array.from({ length: 55 }, () => wordToken('Ġyes'))))
    const { words } = await engine.transcribe(tone(1_000), options())
    expect(words.length).toBeGreaterThan(10)
    expect(words.length).toBeLessThanOrEqual(30)
  })

  it('tells what is missing and what is broken, and works once it is there', async () => {
    const nowhere = whisperStt({ directory: '/nowhere/at-all' })
    cleanUps.push(() => nowhere.close())
    await expect(nowhere.transcribe(tone(500), options())).rejects.toMatchObject({ failure: { code: 'model_missing', message: expect.stringContaining('config.json') as string } })
    const { engine, path } = await engineOf(say(timeToken(0), wordToken('Ġyes'), timeToken(400)))
    await writeFile(join(path, 'generation_config.json'), '{"half":')
    await expect(engine.transcribe(tone(500), options())).rejects.toMatchObject({ failure: { code: 'unsupported' } })
    await writeFile(join(path, 'onnx/encoder_model.onnx'), 'no model')
    const good = await writeTinyWhisper(say(timeToken(0), wordToken('Ġyes'), timeToken(400)))
    const other = whisperStt({ directory: good })
    cleanUps.push(() => other.close(), () => rm(good, { recursive: true }))
    expect((await other.transcribe(tone(500), options())).text).toBe('yes')
  })

  it('survives the death of its thread', async () => {
    const { engine } = await engineOf(say(timeToken(0), wordToken('Ġyes'), timeToken(400)))
    await engine.load(new AbortController().signal)
    const during = engine.transcribe(tone(20_000), options())
    await engine.close()
    await expect(during).rejects.toMatchObject({ failure: { code: 'cut' } })
    expect((await engine.transcribe(tone(500), options())).text).toBe('yes')
  })

  it('is called off at once', async () => {
    const { engine } = await engineOf(say(timeToken(0), wordToken('Ġyes'), timeToken(400)))
    const abort = new AbortController()
    const during = engine.transcribe(tone(20_000), options({ signal: abort.signal }))
    abort.abort()
    await expect(during).rejects.toThrow(/./)
    expect((await engine.transcribe(tone(500), options())).text).toBe('yes')
  })
})

/** The tiny model in plain arithmetic, all of it computed anew for each token. */
function reference(weights: Weights, pcm: Int16Array): string {
  const features = new LogMel(BANDS).features(pcm)
  const sound = Array.from({ length: WIDTH }, () => 0)
  for (let frame = 0; frame < WHISPER_FRAMES; frame += 2) for (let band = 0; band < BANDS; band++) for (let unit = 0; unit < WIDTH; unit++) sound[unit]! += (features[band * WHISPER_FRAMES + frame]! * weights.encoder[band * WIDTH + unit]!) / 1_500
  const logitsAfter = (tokens: readonly number[]) => {
    const state = sound.map((level, unit) => 2 * level + 2 * tokens.reduce((sum, token) => sum + weights.embedding[token * WIDTH + unit]!, 0))
    return Float32Array.from({ length: VOCABULARY }, (_, token) => state.reduce((sum, level, unit) => sum + level * weights.output[unit * VOCABULARY + token]!, 0) + weights.byPosition[(tokens.length - 1) * VOCABULARY + token]!)
  }
  const rules: TokenRules = { end: IDS.end, noTimestamps: IDS.noTimestamps, suppressed: [], suppressedFirst: [], maxFirstTime: 50 }
  const said: number[] = []
  const soundMs = pcm.length / 16
  while (said.length < 16 + Math.ceil((soundMs / 1_000) * 14)) {
    const logits = logitsAfter([IDS.start, IDS.en, IDS.transcribe, ...said])
    applyRules(logits, said, rules)
    const next = best(logits)
    if (!next || next.token === IDS.end) break
    said.push(next.token)
  }
  const vocabulary = ['Hello', ' world', '.', ' Gr', 'ü', 'ße', ' Ada', ' yes']
  let text = ''
  for (const token of said) text += token < vocabulary.length ? vocabulary[token]! : token >= FIRST_TIME ? ' ' : ''
  return text.split(/\s+/).filter((word) => word !== '').join(' ')
}
