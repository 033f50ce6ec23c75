import { frameSamples } from '../frame.ts'
import type { SampleRateHz } from '../frame.ts'
import type { SpokenSpan } from '../tts/contract.ts'
import { SoundPlaces } from './places.ts'
import { Playhead } from './playhead.ts'
import type { PlayoutFrame } from './queue.ts'
import { SpokenText } from './spoken-text.ts'

/**
 * How much of an utterance the caller heard. `exact`: measured by the far end, to within one frame of what was sent, with
 * measured word times; else it is a lower bound (marks) or an estimate (elapsed time).
 */
export type Heard = { utteranceId: string; ms: number; char: number; exact: boolean }

/** A word that was heard, on the clock by which frames were due. `estimated`: no engine measured it. */
export type HeardWord = { charStart: number; charEnd: number; startMs: number; endMs: number; estimated: boolean }

/** `proven`: what the far end has confirmed, never too much. `likely`: with the time that has passed since, nearer to the truth. */
export type Belief = 'proven' | 'likely'

/** `heard`: to its end. `cut`: it will not be heard any further. */
export type Outcome = 'heard' | 'cut'

export type HeardLedgerOptions = {
  sampleRateHz: SampleRateHz
  /** `marks`: the far end tells where it is (marks, RTP positions). `elapsed`: it tells nothing, and time has to do. */
  proof: 'marks' | 'elapsed'
  /** From our sending to the ear. With `elapsed` put it high rather than low: heard is never more than this allows. */
  latencyMs: number
  onSettled?: (utteranceId: string, outcome: Outcome) => void
  /** The first proof that the caller hears this utterance. */
  onFirstHeard?: (utteranceId: string, atMs: number) => void
}

/** Samples of one utterance that lie together in the stream, not confirmed yet. */
type Run = { entry: Entry; streamStart: number; fromSample: number; samples: number }
type Entry = { id: string; text: SpokenText; places: SoundPlaces; total: number | null; sent: number; heard: number; likely: number; chars: Record<Belief, number>; short: boolean; outcome: Outcome | null }
type Mark = { position: number; epoch: number }

/** A far end that never answers must not cost memory without end; a later mark covers all earlier ones anyway. */
const MAX_MARKS = 512
const MAX_ENTRIES = 256
/** How far beyond the last confirmation `likely` may go: a mark's way back, and the time between two marks. */
const LIKELY_AHEAD_MS = 400

/**
 * The truth of playout in one call: which part of which utterance has been played to the caller. Everything that was said
 * afterwards (history, transcript, truncation, billing) asks here. Positions only grow; nothing is heard that was not sent,
 * and what a `clear` sent back does not count.
 */
export class HeardLedger {
  readonly #rate: number
  readonly #frame: number
  readonly #proof: 'marks' | 'elapsed'
  readonly #onSettled: (utteranceId: string, outcome: Outcome) => void
  readonly #onFirstHeard: (utteranceId: string, atMs: number) => void
  readonly #playhead: Playhead
  readonly #entries = new Map<string, Entry>()
  readonly #marks = new Map<string, Mark>()
  #pending: Run[] = []
  /** Samples on the wire since the call began, silence and background among them. */
  #sent = 0
  #confirmed = 0
  /** Counts the clears. */
  #epoch = 0
  #markSeq = 0

  constructor({ sampleRateHz, proof, latencyMs, onSettled = () => {}, onFirstHeard = () => {} }: HeardLedgerOptions) {
    this.#rate = sampleRateHz
    this.#frame = frameSamples(sampleRateHz)
    this.#proof = proof
    this.#playhead = new Playhead(sampleRateHz, latencyMs)
    this.#onSettled = onSettled
    this.#onFirstHeard = onFirstHeard
  }

  /** Pieces are joined as they are. */
  text(utteranceId: string, piece: string): void {
    const entry = this.#entry(utteranceId)
    if (!entry.outcome) entry.text.append(piece)
  }

  spans(utteranceId: string, spans: readonly SpokenSpan[], estimated: boolean): void {
    this.#entry(utteranceId).text.addSpans(spans, estimated)
  }

  /** The sound that follows says something else: of the text nothing behind `charEnd` is spoken. */
  aside(utteranceId: string, charEnd: number): void {
    this.#entry(utteranceId).text.breakOff(charEnd)
  }

  /** The utterance has `samples` in all, and no more will come. */
  ended(utteranceId: string, samples: number): void {
    const entry = this.#entry(utteranceId)
    entry.total = samples
    this.#settleIfDone(entry)
  }

  /** Its text is not spoken to the end: after `samples` (default: what was sent so far) nothing more comes. */
  cutShort(utteranceId: string, samples?: number): void {
    const entry = this.#entry(utteranceId)
    entry.short = true
    this.ended(utteranceId, samples ?? entry.sent)
  }

  /** As `cutShort` for all that is open: a far end that cannot clear will play what it was sent. */
  cutAllShort(): void {
    for (const entry of this.#entries.values()) if (!entry.outcome) this.cutShort(entry.id)
  }

  /** One frame is on the wire. `dueMs`: when it is to be heard, and where the recording has it. */
  sent(frame: PlayoutFrame, samples: number, nowMs: number, dueMs = nowMs): void {
    let at = this.#sent
    for (let n = 0; n < frame.segmentCount; n++) {
      const segment = frame.segments[n]!
      const entry = this.#entry(segment.utteranceId)
      this.#note(entry, at, segment.fromSample, segment.samples)
      entry.places.put(segment.fromSample, segment.samples, dueMs + ((at - this.#sent) / this.#rate) * 1_000)
      at += segment.samples
    }
    this.#sent += samples
    this.#playhead.sent(samples, nowMs)
  }

  /** The name of a mark that is to be put on the wire now: when it comes back, all that was sent before it has been played. */
  mark(): string {
    const name = `${this.#epoch}.${++this.#markSeq}`
    this.#marks.set(name, { position: this.#sent, epoch: this.#epoch })
    const oldest = this.#marks.keys().next()
    if (this.#marks.size > MAX_MARKS && !oldest.done) this.#marks.delete(oldest.value)
    return name
  }

  /**
   * A mark came back. One from before the last clear proves nothing: carriers send all waiting marks back when they clear
   * (Twilio: "Media Streams - WebSocket messages"), and one that was played just before looks the same.
   */
  markReturned(name: string, nowMs: number): 'heard' | 'cleared' | 'unknown' {
    const mark = this.#marks.get(name)
    if (!mark) return 'unknown'
    this.#marks.delete(name)
    if (mark.epoch !== this.#epoch) return 'cleared'
    this.#confirm(mark.position, nowMs)
    return 'heard'
  }

  /** Another proof than marks: so many samples of the stream (all frames since the beginning) have been played. */
  played(streamSamples: number, nowMs: number): void {
    this.#confirm(Math.min(streamSamples, this.#sent), nowMs)
  }

  /** The far buffer is told to drop what it has not played. `resumes`: it will be sent again, nothing is over. */
  clear(nowMs: number, { resumes }: { resumes: boolean }): void {
    this.#update(nowMs)
    this.#pending = []
    this.#confirmed = this.#sent
    this.#playhead.clear(nowMs)
    this.#epoch++
    const open = [...this.#entries.values()].filter(({ outcome }) => !outcome)
    for (const { places } of open) places.cut(nowMs)
    for (const entry of open) if (!resumes || entry.short) this.#settle(entry, 'cut')
  }

  /** Time alone settles utterances when there are no marks. Cheap; with every frame. */
  poll(nowMs: number): void {
    if (this.#proof === 'elapsed' && this.#pending.length > 0) this.#confirm(this.#playhead.at(nowMs), nowMs)
  }

  /** Something that was sent has neither been confirmed nor cleared. */
  get outstanding(): boolean {
    return this.#pending.length > 0
  }

  /** All utterances since the last `forget`, in the order in which they became known. */
  heardUntil(nowMs: number, belief: Belief = 'proven'): Heard[] {
    this.#update(nowMs)
    return [...this.#entries.values()].map((entry) => this.#heard(entry, belief))
  }

  /** What the caller heard of it, up to the end of a word. Unknown: empty. */
  heardText(utteranceId: string, nowMs: number, belief: Belief = 'proven'): string {
    this.#update(nowMs)
    const entry = this.#entries.get(utteranceId)
    return entry ? entry.text.text.slice(0, this.#chars(entry, belief)) : ''
  }

  /** When each word that was heard was said. One that was cut in its middle is not among them. Unknown: none. */
  heardWords(utteranceId: string, nowMs: number, belief: Belief = 'proven'): HeardWord[] {
    this.#update(nowMs)
    const entry = this.#entries.get(utteranceId)
    if (!entry) return []
    const chars = this.#chars(entry, belief)
    const sampleOf = (ms: number): number => Math.round((ms / 1_000) * this.#rate)
    return entry.text.words(this.#totalMs(entry)).flatMap(({ startMs, endMs, ...word }) => {
      const [from, until] = [entry.places.beginOf(sampleOf(startMs)), entry.places.endBefore(sampleOf(endMs))]
      return word.charEnd > chars || from === null || until === null ? [] : [{ ...word, startMs: from, endMs: Math.max(from, until) }]
    })
  }

  /** From the first to the last of its sound that was played, on the clock by which frames were due. Null: there was none. */
  timeOf(utteranceId: string): { startMs: number; endMs: number } | null {
    const places = this.#entries.get(utteranceId)?.places
    return places && places.startMs !== null && places.endMs !== null ? { startMs: places.startMs, endMs: places.endMs } : null
  }

  /** Where to go on after `clear` with `resumes`: the first sample of the latest utterance that was not likely heard. */
  resumePoint(nowMs: number): { utteranceId: string; sample: number } | null {
    this.#update(nowMs)
    for (const entry of this.#entries.values()) {
      if (!entry.outcome && entry.sent > entry.likely) return { utteranceId: entry.id, sample: entry.likely }
    }
    return null
  }

  /** It is written down elsewhere. */
  forget(utteranceId: string): void {
    this.#entries.delete(utteranceId)
  }

  #entry(id: string): Entry {
    const known = this.#entries.get(id)
    if (known) return known
    const entry: Entry = { id, text: new SpokenText(), places: new SoundPlaces({ sampleRateHz: this.#rate }), total: null, sent: 0, heard: 0, likely: 0, chars: { proven: 0, likely: 0 }, short: false, outcome: null }
    this.#entries.set(id, entry)
    const oldest = this.#entries.keys().next()
    if (this.#entries.size > MAX_ENTRIES && !oldest.done) this.#entries.delete(oldest.value)
    return entry
  }

  #note(entry: Entry, streamStart: number, fromSample: number, samples: number): void {
    entry.sent = Math.max(entry.sent, fromSample + samples)
    const last = this.#pending.at(-1)
    const continues = last?.entry === entry && last.streamStart + last.samples === streamStart && last.fromSample + last.samples === fromSample
    if (continues) last.samples += samples
    else this.#pending.push({ entry, streamStart, fromSample, samples })
  }

  #confirm(position: number, nowMs: number): void {
    this.#playhead.confirm(position, nowMs)
    if (position <= this.#confirmed) return
    this.#confirmed = position
    for (let run = this.#pending[0]; run && run.streamStart < position; run = this.#pending[0]) {
      const { entry } = run
      this.#hear(entry, playedOf(run, position), nowMs)
      if (run.streamStart + run.samples > position) break
      this.#pending.shift()
      this.#settleIfDone(entry)
    }
  }

  #hear(entry: Entry, sample: number, nowMs: number): void {
    if (entry.heard === 0 && sample > 0) this.#onFirstHeard(entry.id, nowMs)
    entry.heard = Math.max(entry.heard, sample)
    entry.likely = Math.max(entry.likely, entry.heard)
  }

  #update(nowMs: number): void {
    if (this.#proof === 'elapsed') {
      this.poll(nowMs)
      return
    }
    const likely = Math.min(this.#playhead.at(nowMs), this.#confirmed + (LIKELY_AHEAD_MS / 1_000) * this.#rate)
    for (const run of this.#pending) {
      if (run.streamStart >= likely) break
      run.entry.likely = Math.max(run.entry.likely, playedOf(run, likely))
    }
  }

  #settleIfDone(entry: Entry): void {
    if (entry.outcome || entry.total === null || entry.heard < entry.total) return
    // Text without any sound was not heard, however complete.
    this.#settle(entry, entry.short || entry.total === 0 ? 'cut' : 'heard')
  }

  #settle(entry: Entry, outcome: Outcome): void {
    entry.outcome = outcome
    this.#onSettled(entry.id, outcome)
  }

  #heard(entry: Entry, belief: Belief): Heard {
    const measured = this.#proof === 'marks' && entry.sent - entry.heard <= this.#frame
    const whole = entry.outcome === 'heard'
    return { utteranceId: entry.id, ms: (this.#samples(entry, belief) / this.#rate) * 1_000, char: this.#chars(entry, belief), exact: measured && (whole || !entry.text.estimated) }
  }

  #samples(entry: Entry, belief: Belief): number {
    return belief === 'proven' ? entry.heard : entry.likely
  }

  /** Word times that come late, or a length that was guessed too short, must not take words back. */
  #chars(entry: Entry, belief: Belief): number {
    const chars = entry.outcome === 'heard' ? entry.text.spokenLength : entry.text.charsAt((this.#samples(entry, belief) / this.#rate) * 1_000, this.#totalMs(entry))
    entry.chars[belief] = Math.max(entry.chars[belief], chars)
    return entry.chars[belief]
  }

  /** How long all of its text takes, if that is known. */
  #totalMs({ total, short }: Entry): number | null {
    return total === null || short ? null : (total / this.#rate) * 1_000
  }
}

/** The sample of its utterance up to which `run` has been played when the stream has been up to `position`. */
const playedOf = (run: Run, position: number): number => run.fromSample + Math.min(run.samples, Math.floor(position) - run.streamStart)
