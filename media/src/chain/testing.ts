import type { Pcm } from '../frame.ts'
import type { SpeechFailure, SpeechUsage, SttEngine, SttEvent, SttOptions, SttStream } from '../stt/contract.ts'
import type { SpokenSpan, TtsEngine, TtsEvent, TtsOptions, TtsStream } from '../tts/contract.ts'
import { EventQueue } from '../tts/queue.ts'

/** Sound that tests can read: word n is so many samples of value 1000 + n, words are apart by silence. */
export const RATE = 8_000
const FIRST = 1_000
export const WORD_SAMPLES = 1_600
export const PAUSE_SAMPLES = 800

export const wordSound = (n: number, samples = WORD_SAMPLES): Int16Array => new Int16Array(samples).fill(FIRST + n)

/** Runs of equal sound as `[word, samples]`, silence left out. */
export function runsOf(pcm: Pcm): [word: number, samples: number][] {
  const runs: [number, number][] = []
  for (let at = 0, from = 0; at <= pcm.length; at++) {
    if (at < pcm.length && pcm[at] === pcm[from]) continue
    if (at > from && pcm[from] !== 0) runs.push([pcm[from]! - FIRST, at - from])
    from = at
  }
  return runs
}

const failureOf = (code: SpeechFailure['code']): SpeechFailure => ({ code, message: 'scripted', requestId: null })
const usageOf = (kind: 'stt' | 'tts', engine: string, outcome: SpeechUsage['outcome']): SpeechUsage => ({ kind, engine, model: 'fake', audioMs: 0, characters: 0, firstResultMs: null, latencyMs: 0, outcome, requestId: null })

/**
 * How a scripted recogniser behaves in one stream. `failAfter`: so many things (pushes, finishes, events) happen, then it fails; Infinity: never.
 * `eager`: it makes each word final at once, else only when asked. `late`: its events come after so many turns of the event loop.
 */
export type EarScript = { failAfter: number; code: SpeechFailure['code']; eager: boolean; late: number }

/** Reads the sound of `wordSound`. Its scripts are used up one per stream; then it is perfect. */
export function fakeEar(id: string, scripts: EarScript[]): SttEngine & { opened: number } {
  const engine = {
    id, model: 'fake', finalP99Ms: 1, opened: 0,
    open(options: SttOptions): SttStream {
      engine.opened++
      return new FakeHearing(id, options, scripts.shift() ?? { failAfter: Infinity, code: 'cut', eager: true, late: 0 })
    },
    transcribe: () => Promise.reject(new Error('not scripted')),
  }
  return engine
}

class FakeHearing implements SttStream {
  readonly #out = new EventQueue<SttEvent>()
  readonly events: AsyncIterable<SttEvent> = this.#out
  readonly #id: string
  readonly #script: EarScript
  #happened = 0
  #isOver = false
  #samples: number[] = []
  /** Everything before was made final. */
  #done = 0
  #order: Promise<void> = Promise.resolve()

  constructor(id: string, _options: SttOptions, script: EarScript) {
    this.#id = id
    this.#script = script
    if (script.failAfter === 0) this.#step(() => undefined)
  }

  push(pcm: Pcm): void {
    // As the contract has it: the frame's owner uses its memory again.
    const own = pcm.slice()
    this.#step(() => {
      this.#samples.push(...own)
      const end = this.#endOfWords()
      if (!this.#script.eager || end === null) return this.#emit({ type: 'partial', text: this.#words(this.#samples.length), confidence: null })
      this.#final(end)
    })
  }

  finish(): void {
    this.#step(() => {
      this.#final(this.#samples.length)
      this.#emit({ type: 'finished' })
    })
  }

  close(): SpeechUsage {
    this.#isOver = true
    this.#out.end()
    return usageOf('stt', this.#id, 'ok')
  }

  /** In order, and as late as the script says. */
  #step(what: () => void): void {
    this.#order = this.#order.then(async () => {
      for (let turn = 0; turn < this.#script.late; turn++) await new Promise((resolve) => setImmediate(resolve))
      if (!this.#isOver && !this.#isDue()) what()
    })
  }

  #isDue(): boolean {
    if (this.#happened++ < this.#script.failAfter) return false
    this.#isOver = true
    this.#out.push({ type: 'failed', failure: failureOf(this.#script.code) })
    this.#out.end()
    return true
  }

  #emit(event: SttEvent): void {
    if (!this.#isOver && !this.#isDue()) this.#out.push(event)
  }

  /** Behind the last word that a pause follows; null: none. */
  #endOfWords(): number | null {
    for (let at = this.#samples.length - 1; at > this.#done; at--) if (this.#samples[at] === 0 && this.#samples[at - 1] !== 0) return at + 1
    return null
  }

  #words(to: number): string {
    return runsOf(Int16Array.from(this.#samples.slice(this.#done, to))).map(([word]) => `w${word}`).join(' ')
  }

  #final(to: number): void {
    const text = this.#words(to)
    const [startMs, endMs] = [(this.#done / RATE) * 1_000, (to / RATE) * 1_000]
    // Sound counts as told only when it really was.
    if (this.#isOver || this.#isDue()) return
    this.#done = to
    if (text !== '') this.#out.push({ type: 'final', text, confidence: 1, words: [], language: null, startMs, endMs, endOfTurn: false })
  }
}

/** `failAfter` events of sound and times; `spans`: as words are measured. Pieces of sound have `pieceSamples`. */
export type MouthScript = { failAfter: number; code: SpeechFailure['code']; spans: 'measured' | 'estimated' | 'late'; pieceSamples: number }

/** Says words of the form `w12` in the sound of `wordSound`, whatever comes in whenever. */
export function fakeMouth(id: string, scripts: MouthScript[]): TtsEngine & { said: string[] } {
  const engine = {
    id, model: 'fake', said: [] as string[],
    voices: () => Promise.resolve([]),
    speak(_options: TtsOptions): TtsStream {
      const script = scripts.shift() ?? { failAfter: Infinity, code: 'cut' as const, spans: 'measured' as const, pieceSamples: 700 }
      return new FakeUtterance(id, script, (text) => engine.said.push(text))
    },
  }
  return engine
}

class FakeUtterance implements TtsStream {
  readonly #out = new EventQueue<TtsEvent>()
  readonly events: AsyncIterable<TtsEvent> = this.#out
  readonly #id: string
  readonly #script: MouthScript
  readonly #said: (text: string) => void
  #text = ''
  #isOver = false
  #emitted = 0

  constructor(id: string, script: MouthScript, said: (text: string) => void) {
    this.#id = id
    this.#script = script
    this.#said = said
    if (script.failAfter === 0) this.#emit({ type: 'done' })
  }

  write(text: string): void {
    this.#text += text
  }

  end(): void {
    this.#said(this.#text)
    const spans: SpokenSpan[] = []
    const sound: number[] = []
    for (const match of this.#text.matchAll(/w(\d+)/g)) {
      const startMs = (sound.length / RATE) * 1_000
      sound.push(...wordSound(Number(match[1])))
      spans.push({ charStart: match.index, charEnd: match.index + match[0].length, startMs, endMs: (sound.length / RATE) * 1_000 })
      sound.push(...new Int16Array(PAUSE_SAMPLES))
    }
    this.#speak(Int16Array.from(sound), spans)
  }

  close(): SpeechUsage {
    this.#isOver = true
    this.#out.end()
    return usageOf('tts', this.#id, 'ok')
  }

  #speak(sound: Int16Array, spans: SpokenSpan[]): void {
    const { pieceSamples, spans: kind } = this.#script
    let told = 0
    for (let at = 0; at < sound.length; at += pieceSamples) {
      this.#emit({ type: 'audio', pcm: sound.subarray(at, at + pieceSamples) })
      // As ElevenLabs tells them: a word when it is whole.
      const whole = kind === 'measured' ? spans.filter(({ endMs }, index) => index >= told && endMs <= ((at + pieceSamples) / RATE) * 1_000) : []
      told += whole.length
      if (whole.length > 0) this.#emit({ type: 'spans', spans: whole, estimated: false })
    }
    if (kind !== 'measured') this.#emit({ type: 'spans', spans, estimated: kind === 'estimated' })
    this.#emit({ type: 'done' })
    this.#out.end()
  }

  #emit(event: TtsEvent): void {
    if (this.#isOver) return
    if (this.#emitted++ < this.#script.failAfter) return this.#out.push(event)
    this.#isOver = true
    this.#out.push({ type: 'failed', failure: failureOf(this.#script.code) })
    this.#out.end()
  }
}
