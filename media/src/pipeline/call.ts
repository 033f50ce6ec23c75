import { wordSpans } from '@trunkline/core'
import { FRAME_MS, type Pcm } from '../frame.ts'
import type { AmdEffect } from '../amd/contract.ts'
import { AnswerDetection } from '../amd/detection.ts'
import { gateEcho } from '../echo/gated-vad.ts'
import { Keypad } from './keypad.ts'
import { SoundPlaces } from '../playout/places.ts'
import { CallPlayer } from '../playout/player.ts'
import { monotonicClock } from '../playout/monotonic.ts'
import type { SttEvent } from '../stt/contract.ts'
import type { TurnEffect, TurnEvent, TurnState, Utterance as Phrase } from '../turn/contract.ts'
import { detectExpectation } from '../turn/expectation.ts'
import { nextDueMs, openTurns, step } from '../turn/step.ts'
import type { SpeechEdge } from '../vad/speech-edges.ts'
import type { PipelineOptions, ReplyEnd, Said, TurnTimes } from './contract.ts'
import { Ears } from './ears.ts'
import { Reply, Utterance } from './reply.ts'

/** How much softer the agent's voice becomes while it is not clear whether the caller wants the word. */
const DUCK_DB = -12
/** Frames without a time of their own that come within so much of the last follow it. */
const UNTIMED_SNAP_MS = 60

type Event = TurnEvent extends infer One ? (One extends TurnEvent ? Omit<One, 'nowMs'> : never) : never

/**
 * The sound of one call: hears, decides by the turn machine, answers, speaks. Owns no line and no history: frames come in by `frame`, leave by the
 * wire, and what happened is told as events. Times in events count from the opening. `close` is idempotent.
 */
export class CallPipeline {
  readonly #options: PipelineOptions
  readonly #player: CallPlayer
  readonly #ears: Ears
  readonly #stop = new AbortController()
  readonly #openedMs: number
  /** Where on the clock the sound lies that the ears were given: recognisers count what they hear, which is not all of the call. */
  readonly #heardAt: SoundPlaces
  #heardSamples = 0
  #turns: TurnState
  #timer: NodeJS.Timeout | null = null
  #reply: Reply | null = null
  #prepared: Reply | null = null
  #phrases = 0
  readonly #keypad = new Keypad((digits) => this.#keyed(digits))
  /** Said by the agent and not yet known to be heard, oldest first. */
  readonly #spoken = new Map<string, { turn: number }>()
  #times: TurnTimes | null = null
  #ending: ReplyEnd | 'silence' | 'max_duration' | null = null
  #closed = false
  #onHold = false
  /** Who has taken our call is not known yet: the turn machine hears nothing. */
  #answering: AnswerDetection | null = null

  constructor(options: PipelineOptions) {
    this.#options = options
    const { sampleRateHz, wire, wheel, voice, keyterms = [], settings } = options
    this.#openedMs = options.openedMs ?? monotonicClock.nowMs()
    this.#heardAt = new SoundPlaces({ sampleRateHz })
    const { vad, stt, tap } = options.echoGate ? gateEcho({ vad: options.vad, stt: options.stt, tap: options.tap, sampleRateHz }) : options
    this.#player = new CallPlayer({
      wire, wheel, tap, sampleRateHz,
      onFirst: (id, stage, atMs) => this.#firstFrame(id, stage, atMs),
      onSettled: (id, outcome) => this.#settled(id, outcome === 'cut'),
      onFault: () => this.close(),
    })
    this.#turns = openTurns({ language: voice.language, sttFinalP99Ms: stt.finalP99Ms, ...settings }, this.#nowMs())
    this.#ears = new Ears({ sampleRateHz, vad, stt, language: voice.language, keyterms, signal: this.#stop.signal, onEdge: (edge) => this.#edge(edge), onWords: (event) => this.#words(event), smartTurn: options.smartTurn ?? null, onVerdict: (probability) => this.#take({ type: 'turn_model', probability }) })
    if (options.detectAnswer) this.#answering = new AnswerDetection({ sampleRateHz, settings: { language: voice.language }, onEffect: (effect) => this.#answered(effect) })
    else if (options.greeting !== null) this.#sayText('greeting', options.greeting)
    this.#setTimer()
  }

  /** 20 ms of the caller, in order. `atMs` (monotonic): when they were spoken, as the recording has them. */
  frame(pcm: Pcm, atMs = this.#untimedMs()): void {
    if (this.#closed || this.#onHold) return
    this.#heardAt.put(this.#heardSamples, pcm.length, atMs)
    this.#heardSamples += pcm.length
    this.#answering?.frame(pcm)
    this.#ears.frame(pcm)
  }

  #untimedMs(): number {
    const [beganMs, followsMs] = [this.#nowMs() - FRAME_MS, this.#heardAt.endMs]
    return followsMs !== null && Math.abs(beganMs - followsMs) < UNTIMED_SNAP_MS ? followsMs : beganMs
  }

  markReturned(name: string): void {
    this.#player.markReturned(name)
  }

  /** A key of the caller's telephone. The agent falls silent at the first; what was keyed in is the caller's words once it is whole. */
  key(digit: string): void {
    if (this.#closed) return
    if (this.#keypad.press(digit, this.#turns.expectation) && this.#turns.settings.interruptible) this.#silence()
  }

  /** Says something outside a turn: an announcement, a briefing. */
  say(text: string): void {
    if (!this.#closed) this.#sayText('say', text)
  }

  /** Somebody else speaks to the caller just now, beside us. */
  company(): void {
    this.#take({ type: 'company' })
  }

  /** The caller waits: music instead of a conversation, and nothing that is said meanwhile is answered. Sound at the rate of the line; null: silence, or somebody else speaks. */
  hold(music: Pcm | null): void {
    if (this.#closed) return
    this.#silence()
    this.#onHold = true
    this.#setTimer()
    this.#player.background(music ? { pcm: music, gainDb: 0 } : null)
  }

  /** The wait is over; the conversation goes on with these words (empty: with the caller's). */
  unhold(text: string): void {
    if (this.#closed || !this.#onHold) return
    this.#player.background(null)
    this.#onHold = false
    this.#sayText('say', text)
    this.#setTimer()
  }

  /** Nobody hears us: what is being said ends here, and the next word is for when the line is back. */
  lineLost(): void {
    if (!this.#closed) this.#silence()
  }

  /** The last words of a call; it ends when they were heard. */
  sayLast(text: string): void {
    if (this.#closed) return
    this.#endDetection()
    this.#ending = 'hang_up'
    this.#sayText('say', text)
  }

  get stats(): ReturnType<CallPlayer['stats']> {
    return this.#player.stats()
  }

  close(): void {
    if (this.#closed) return
    this.#take({ type: 'hung_up' })
    this.#closed = true
    if (this.#timer) clearTimeout(this.#timer)
    this.#keypad.close()
    this.#answering?.close()
    this.#reply?.cancel()
    this.#prepared?.cancel()
    this.#player.close()
    this.#stop.abort()
    this.#ears.close()
  }

  /** Nobody's turn: the caller waits, or it is not known who has taken the call. */
  get #isQuiet(): boolean {
    return this.#onHold || this.#answering !== null
  }

  #answered(effect: AmdEffect): void {
    if (effect.do === 'greeting_ended') return this.#options.onEvent({ type: 'machine_ready', takesMessages: effect.takesMessages })
    this.#options.onEvent({ type: 'answered_by', verdict: effect.verdict })
    if (effect.verdict === 'machine' || effect.verdict === 'fax') return
    // A person, or something that one can talk to.
    this.#endDetection()
    if (this.#options.greeting !== null) this.#sayText('greeting', this.#options.greeting)
    else this.#take({ type: 'playout_ended' })
  }

  #endDetection(): void {
    this.#answering?.close()
    this.#answering = null
    this.#setTimer()
  }

  // ── What comes in ───────────────────────────────────────────────────────────────────────────────────────────────────
  #edge(edge: SpeechEdge): void {
    if (this.#answering) return this.#answering.edge(edge)
    this.#take({ type: edge.type === 'start' ? 'speech_start' : 'speech_stop' })
  }

  #keyed(digits: string): void {
    const atMs = this.#callMs()
    this.#said({ by: 'caller', turn: this.#turns.turn, text: digits, startMs: atMs, endMs: atMs, interrupted: false, confidence: 1, words: [] })
    this.#take({ type: 'digits', digits })
  }

  #words(event: SttEvent): void {
    this.#answering?.words(event)
    if (event.type === 'partial') {
      this.#options.onEvent({ type: 'partial', text: event.text })
      this.#take({ type: 'partial', text: event.text })
    } else if (event.type === 'final') {
      if (event.text.trim() !== '') this.#callerSaid(event)
      this.#take({ type: 'final', text: event.text, confidence: event.confidence, endOfTurn: event.endOfTurn })
    } else if (event.type === 'failed') this.#options.onEvent({ type: 'incident', stage: 'stt', waitedMs: 0, failure: event.failure })
  }

  /** A final covers the silence before its words, too: the words tell when it was said. */
  #callerSaid({ text, words, startMs, endMs, confidence }: Extract<SttEvent, { type: 'final' }>): void {
    const [first, last] = [words[0], words.at(-1)]
    const placed = words.map((word) => ({ ...word, startMs: this.#spokenMs(word.startMs, 'begin'), endMs: this.#spokenMs(word.endMs, 'end') }))
    const said = { text: text.trim(), startMs: this.#spokenMs(first?.startMs ?? startMs, 'begin'), endMs: this.#spokenMs(last?.endMs ?? endMs, 'end') }
    this.#said({ by: 'caller', turn: this.#turns.turn, ...said, interrupted: false, confidence, words: wordSpans(said.text, placed) })
  }

  /** A recogniser's time on the clock of the call. */
  #spokenMs(streamMs: number, edge: 'begin' | 'end'): number {
    const sample = Math.round((streamMs / 1_000) * this.#options.sampleRateHz)
    const atMs = edge === 'begin' ? this.#heardAt.beginOf(sample) : this.#heardAt.endBefore(sample)
    return Math.max(0, Math.round((atMs ?? this.#openedMs) - this.#openedMs))
  }

  #said(said: Said): void {
    this.#options.onEvent({ type: 'said', said })
  }

  /** One event into the machine, its effects out. Effects may bring news at once: they are taken after these. */
  #take(event: Event): void {
    if (this.#closed || (this.#isQuiet && event.type !== 'hung_up')) return
    const { state, effects } = step(this.#turns, { ...event, nowMs: this.#nowMs() })
    this.#turns = state
    for (const effect of effects) this.#do(effect)
    this.#setTimer()
  }

  #setTimer(): void {
    if (this.#timer) clearTimeout(this.#timer)
    const dueMs = this.#closed || this.#isQuiet ? null : nextDueMs(this.#turns)
    this.#timer = dueMs === null ? null : setTimeout(() => this.#take({ type: 'timer' }), Math.max(0, Math.ceil(dueMs - monotonicClock.nowMs())))
  }

  // ── What goes out ───────────────────────────────────────────────────────────────────────────────────────────────────
  #do(effect: TurnEffect): void {
    switch (effect.do) {
      case 'finish_stt': return this.#ears.finish()
      case 'reply':
        this.#ears.turnEnded()
        return this.#startReply(effect.turn, effect.text)
      case 'prepare':
        this.#prepared = this.#newReply(effect.turn, effect.text, false)
        return
      case 'discard_prepared': return this.#dropPrepared()
      case 'cancel_reply': return this.#silence()
      case 'duck': return this.#player.duck(DUCK_DB)
      case 'unduck': return this.#player.duck(0)
      case 'cut':
        this.#options.onEvent({ type: 'interrupted', turn: effect.turn, atMs: this.#callMs() })
        return this.#silence()
      case 'say': return this.#sayText(effect.what, this.#options.phrases[effect.what])
      case 'switch': return
      case 'incident': return this.#options.onEvent({ type: 'incident', stage: effect.stage, waitedMs: effect.waitedMs, failure: null })
      case 'hang_up':
        this.#ending = effect.reason
        return
    }
  }

  #startReply(turn: number, text: string): void {
    const prepared = this.#prepared
    this.#prepared = null
    this.#times = { turn, speechEndMs: this.#turns.speechEndedMs - this.#openedMs, endpointMs: this.#callMs(), firstTokenMs: null, firstAudioMs: null, firstSentMs: null, firstHeardMs: null }
    if (prepared?.turn === turn && prepared.text === text) {
      this.#reply = prepared
      prepared.speak()
      return
    }
    prepared?.cancel()
    this.#reply = this.#newReply(turn, text, true)
  }

  #newReply(turn: number, text: string, aloud: boolean): Reply {
    const { tts, replier } = this.#options
    return new Reply(turn, text, replier, { tts, player: this.#player, options: this.#voiceOptions() }, {
      token: () => this.#progress('firstTokenMs', { type: 'reply_token', turn }),
      audio: () => this.#progress('firstAudioMs', { type: 'reply_audio', turn }),
      tool: (running) => this.#take({ type: running ? 'tool_started' : 'tool_ended', turn }),
      done: (end) => this.#replyDone(turn, end),
      failed: (failure) => {
        if (failure) this.#options.onEvent({ type: 'incident', stage: 'tts', waitedMs: 0, failure })
        this.#take({ type: 'reply_failed', turn })
      },
    }, aloud)
  }

  #voiceOptions() {
    const { voice, sampleRateHz } = this.#options
    return { voice: voice.id, speed: voice.speed, language: voice.language, sampleRateHz }
  }

  #progress(stage: 'firstTokenMs' | 'firstAudioMs', event: Event): void {
    if (this.#times) this.#times[stage] ??= this.#callMs()
    this.#take(event)
  }

  #replyDone(turn: number, end: ReplyEnd): void {
    if (end !== 'listen') this.#ending = end
    this.#take({ type: 'reply_done', turn })
    this.#whenQuiet()
  }

  #dropPrepared(): void {
    this.#prepared?.cancel()
    this.#prepared = null
  }

  #silence(): void {
    this.#dropPrepared()
    this.#reply?.cancel()
    this.#reply = null
    this.#player.cut()
  }

  #sayText(what: Phrase | 'greeting' | 'say', text: string): void {
    if (text === '') return this.#whenQuiet()
    this.#phrases += 1
    const { tts } = this.#options
    const utterance = new Utterance(`${what}-${this.#phrases}`, { tts, player: this.#player, options: this.#voiceOptions() }, {
      audio: () => {},
      done: () => this.#whenQuiet(),
      failed: (failure) => {
        this.#options.onEvent({ type: 'incident', stage: 'tts', waitedMs: 0, failure })
        this.#whenQuiet()
      },
    })
    utterance.write(text)
    utterance.end()
  }

  // ── What was heard ──────────────────────────────────────────────────────────────────────────────────────────────────
  #firstFrame(id: string, stage: 'sent' | 'heard', atMs: number): void {
    const callMs = atMs - this.#openedMs
    const ofReply = this.#times !== null && id.startsWith(`reply-${this.#times.turn}.`)
    if (stage === 'sent') {
      this.#spoken.set(id, { turn: turnOf(id) ?? this.#turns.turn })
      if (ofReply) this.#times!.firstSentMs ??= callMs
      return this.#take({ type: 'playout_started' })
    }
    if (!ofReply || this.#times!.firstHeardMs !== null) return
    this.#times!.firstHeardMs = callMs
    this.#options.onEvent({ type: 'times', times: { ...this.#times! } })
  }

  /** Its last word was heard, or it was cut: now it is known what of it belongs into the history. */
  #settled(id: string, interrupted: boolean): void {
    const said = this.#heardOf(id, interrupted)
    this.#spoken.delete(id)
    this.#player.forget(id)
    if (said) {
      this.#said(said)
      if (!interrupted) this.#take({ type: 'expect', expectation: detectExpectation(said.text) })
    }
    this.#whenQuiet()
  }

  #heardOf(id: string, interrupted: boolean): Said | null {
    const belief = interrupted ? 'likely' : 'proven'
    const heard = this.#player.heardText(id, belief)
    const [spoken, time, text] = [this.#spoken.get(id), this.#player.timeOf(id), heard.trim()]
    if (!spoken || !time || text === '') return null
    const ahead = heard.length - heard.trimStart().length
    const words = this.#player.heardWords(id, belief).map((word) => ({
      ...word, charStart: word.charStart - ahead, charEnd: word.charEnd - ahead, startMs: this.#inCall(word.startMs), endMs: this.#inCall(word.endMs), confidence: null,
    }))
    return { by: 'agent', turn: spoken.turn, text, startMs: this.#inCall(time.startMs), endMs: this.#inCall(time.endMs), interrupted, confidence: null, words }
  }

  /** Nothing is being said and nothing more comes: the word is the caller's, or the call is over. */
  #whenQuiet(): void {
    if (this.#closed || this.#player.speaking) return
    this.#take({ type: 'playout_ended' })
    if (this.#ending === null || this.#ending === 'listen') return
    const reason = this.#ending === 'hang_up' ? 'agent' : this.#ending
    this.#ending = null
    this.#options.onEvent({ type: 'ended', reason })
  }

  #nowMs(): number {
    return monotonicClock.nowMs()
  }

  #callMs(): number {
    return this.#inCall(this.#nowMs())
  }

  #inCall(monotonicMs: number): number {
    return Math.max(0, Math.round(monotonicMs - this.#openedMs))
  }
}

const turnOf = (utteranceId: string): number | null => {
  const turn = /^reply-(\d+)\./.exec(utteranceId)?.[1]
  return turn === undefined ? null : Number(turn)
}

