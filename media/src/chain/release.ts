import type { Pcm, SampleRateHz } from '../frame.ts'
import type { SpokenSpan, TtsEvent } from '../tts/contract.ts'

type Word = { charEnd: number; startMs: number; endMs: number; isClosed: boolean }

/** Until an engine has told otherwise: unhurried English. */
const CHARS_PER_MS = 0.015
/** Times of words are rounded. */
const SLACK_MS = 10
/** Less than this of a word is not understood as one (it may be the breath before it): it is said again. */
const AUDIBLE_MS = 120
/** The longest word and the pause behind it. More is not held back; an engine that has told no times at all by then is not waited for again. */
const MAX_HELD_MS = 1_500

/** Whether an engine's words can be waited for: `unknown` until it has spoken once. */
export type Habit = 'unknown' | 'timely' | 'late'

/**
 * What of one engine's sound may be given away. Where words have measured times, a word is held back until it is whole (a few frames, for
 * engines are quicker than speech), so that another engine can go on between two words. Where they have none, sound passes at once.
 */
export class Release {
  readonly #rateHz: SampleRateHz
  readonly #textOf: () => string
  #habit: Habit
  #sound: Pcm[] = []
  #received = 0
  #given = 0
  /** Up to here sound was given away without regard to words. */
  #blindTo = 0
  #words: Word[] = []
  #charEnd = 0
  #spans: Extract<TtsEvent, { type: 'spans' }>[] = []

  /** `textOf`: what the engine was given up to now. */
  constructor(rateHz: SampleRateHz, habit: Habit, textOf: () => string) {
    this.#rateHz = rateHz
    this.#habit = habit
    this.#textOf = textOf
  }

  get habit(): Habit {
    return this.#habit
  }

  *take(event: TtsEvent): Generator<Extract<TtsEvent, { type: 'audio' | 'spans' }>> {
    if (event.type === 'audio') {
      if (this.#habit === 'timely' && this.#ms(this.#received - this.#given) > MAX_HELD_MS) this.#letGo()
      this.#sound.push(event.pcm)
      this.#received += event.pcm.length
    }
    if (event.type === 'spans') {
      if (this.#habit === 'unknown' && !event.estimated) this.#habit = 'timely'
      this.#spans.push(event)
      for (const span of event.spans) this.#note(span)
    }
    if (this.#habit !== 'timely') this.#blindTo = this.#received
    yield* this.#give(event.type === 'done' ? this.#received : this.#limit())
  }

  /** Up to which character the sound speaks that was given away. A word of which an audible part was given counts as spoken: it is not said again. */
  spokenTo(speed: number): number {
    const text = this.#textOf()
    const givenMs = this.#ms(this.#given)
    if (givenMs === 0) return 0
    const begun = this.#words.filter(({ startMs }) => startMs < givenMs - AUDIBLE_MS)
    const last = begun.at(-1)
    const untoldMs = this.#ms(this.#blindTo) - (last?.endMs ?? 0)
    if (untoldMs <= AUDIBLE_MS) return last?.charEnd ?? 0
    const perMs = last && last.endMs > 0 ? last.charEnd / last.endMs : CHARS_PER_MS * speed
    return wordEnd(text, nextWord(text, last?.charEnd ?? 0) + Math.round(untoldMs * perMs))
  }

  /** The sample up to which whole words reach: the beginning of the first unfinished one, or the end of the last that is known. */
  #limit(): number {
    const receivedMs = this.#ms(this.#received) + SLACK_MS
    const unfinished = this.#words.find(({ endMs, isClosed }) => endMs > receivedMs || !isClosed)
    const ms = unfinished ? unfinished.startMs : (this.#words.at(-1)?.endMs ?? 0)
    return Math.min(this.#received, Math.max(this.#blindTo, Math.floor((ms / 1_000) * this.#rateHz)))
  }

  #letGo(): void {
    if (this.#words.length === 0) this.#habit = 'late'
    this.#blindTo = this.#received
  }

  *#give(limit: number): Generator<Extract<TtsEvent, { type: 'audio' | 'spans' }>> {
    while (this.#sound.length > 0 && this.#given < limit) {
      const pcm = this.#sound.shift()!
      const now = pcm.subarray(0, limit - this.#given)
      if (now.length < pcm.length) this.#sound.unshift(pcm.subarray(now.length))
      this.#given += now.length
      yield { type: 'audio', pcm: now }
    }
    const givenMs = this.#ms(this.#given) + SLACK_MS
    const isDue = ({ spans, estimated }: { spans: SpokenSpan[]; estimated: boolean }) => estimated || (spans.at(-1)?.endMs ?? 0) <= givenMs
    for (let next = this.#spans[0]; next; next = this.#spans[0]) {
      if (!isDue(next)) return yield* this.#part(next, givenMs)
      this.#spans.shift()
      yield next
    }
  }

  /** Of spans that came together, those whose sound was given. */
  *#part(event: Extract<TtsEvent, { type: 'spans' }>, givenMs: number): Generator<Extract<TtsEvent, { type: 'spans' }>> {
    const spans = event.spans.filter(({ endMs }) => endMs <= givenMs)
    if (spans.length === 0) return
    this.#spans[0] = { ...event, spans: event.spans.slice(spans.length) }
    yield { ...event, spans }
  }

  /** Spans may be words or single characters; those without a space between them are one word. */
  #note({ charStart, charEnd, startMs, endMs }: SpokenSpan): void {
    const text = this.#textOf()
    const isSpace = text.slice(charStart, charEnd).trim() === ''
    const isApart = isSpace || /\s/.test(text.slice(this.#charEnd, charStart))
    const last = this.#words.at(-1)
    if (last && isApart) last.isClosed = true
    this.#charEnd = Math.max(this.#charEnd, charEnd)
    if (isSpace) return
    const isClosed = charEnd >= text.length || /\s/.test(text.charAt(charEnd)) || /\s$/.test(text.slice(charStart, charEnd))
    if (last && !isApart && !last.isClosed) Object.assign(last, { charEnd, endMs: Math.max(last.endMs, endMs), isClosed })
    else this.#words.push({ charEnd, startMs, endMs, isClosed })
  }

  #ms(samples: number): number {
    return (samples / this.#rateHz) * 1_000
  }
}

function nextWord(text: string, charAt: number): number {
  const rest = /\S/.exec(text.slice(charAt))
  return rest ? charAt + rest.index : text.length
}

/** The end of the word in which a character lies. */
function wordEnd(text: string, charAt: number): number {
  const rest = /\s/.exec(text.slice(charAt))
  return rest ? charAt + rest.index : text.length
}
