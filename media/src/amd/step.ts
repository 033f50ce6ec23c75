import { AMD_DEFAULTS, type AmdEffect, type AmdEvent, type AmdReason, type AmdSettings, type AmdState, type AmdVerdict } from './contract.ts'
import { announcesTone, isFull, signIn, type Sign } from './lexicon.ts'

export type AmdStep = { state: AmdState; effects: AmdEffect[] }

/** Facsimile machines answer with 2100 Hz for 2.6 s and more, +-15 Hz (ITU-T T.30 §4.1); newer ones break it up every 450 ms (V.8). */
const FAX_HZ = 2_100
const FAX_BESIDE_HZ = 25
const FAX_MIN_MS = 350
/** Beeps of mailboxes; a longer tone is a signal of the network. */
const BEEP_MAX_MS = 1_500
/** Ringing and busy tones (ITU-T E.180): before anybody has spoken such a tone is no beep. */
const [NETWORK_FROM_HZ, NETWORK_TO_HZ] = [390, 500]
/** Speech that begins so close to a tone is the tone. */
const TONE_EDGE_MS = 100
/** A tone that comes so long after a silence still belongs to the greeting. */
const LATE_BEEP_MS = 8_000
/** What later words may correct, and into what. A verdict of words stands against all but a mailbox's own. */
const CORRECTIONS: Partial<Record<AmdVerdict, readonly Sign[]>> = { human: ['machine', 'machine_ivr', 'screening'], machine_ivr: ['machine', 'screening'], unknown: ['machine', 'machine_ivr', 'screening'] }

/** A call of ours that was answered now. `nowMs`: monotonic. */
export function openAmd(settings: Partial<AmdSettings>, nowMs: number): AmdState {
  return {
    settings: { ...AMD_DEFAULTS, ...settings },
    openedMs: nowMs, speakingSinceMs: null, silentSinceMs: nowMs, toneSounds: false, spokenMs: 0, finals: '', partial: '',
    verdict: null, greetingEnded: 'not', over: false,
  }
}

/** When a `timer` is wanted at the latest; null: all is known. */
export function nextAmdDueMs(state: AmdState): number | null {
  return state.over ? null : Math.min(silenceDueMs(state), limitMs(state))
}

/** One event in, what follows out. Pure: the given state is not changed, the same events give the same effects. */
export function stepAmd(before: AmdState, event: AmdEvent): AmdStep {
  if (before.over) return { state: before, effects: [] }
  const machine = new Machine({ ...before }, event.nowMs)
  machine.take(event)
  return { state: machine.state, effects: machine.effects }
}

const isMachine = (verdict: AmdVerdict | null): boolean => verdict === 'machine' || verdict === 'machine_ivr' || verdict === 'screening'
/** After ten silent seconds somebody may still speak. */
const isSettled = (verdict: AmdVerdict | null): boolean => verdict !== null && verdict !== 'unknown'
const wordsOf = ({ finals, partial }: AmdState): string => `${finals} ${partial}`

/** Length of the greeting up to now. */
const spokenMs = (state: AmdState, nowMs: number): number => state.spokenMs + (state.speakingSinceMs === null ? 0 : nowMs - state.speakingSinceMs)

function silenceDueMs(state: AmdState): number {
  if (state.speakingSinceMs !== null || state.toneSounds || state.greetingEnded !== 'not') return Infinity
  const { settings, silentSinceMs } = state
  if (isMachine(state.verdict)) return silentSinceMs + (announcesTone(wordsOf(state), settings.language) ? settings.toneSilenceMs : settings.machineSilenceMs)
  if (isSettled(state.verdict) || state.spokenMs === 0) return Infinity
  return silentSinceMs + (soundsHuman(state) ? settings.humanSilenceMs : settings.machineSilenceMs)
}

const soundsHuman = (state: AmdState): boolean => state.spokenMs <= state.settings.humanSpeechMs || signIn(wordsOf(state), state.settings.language, true) === 'human'

/** The moment that ends the waiting whatever happens. */
function limitMs(state: AmdState): number {
  const { settings, openedMs } = state
  if (state.greetingEnded === 'silence') return state.silentSinceMs + settings.toneSilenceMs + LATE_BEEP_MS
  if (isMachine(state.verdict)) return openedMs + settings.greetingMs
  const heardNothing = state.verdict === null && state.spokenMs === 0 && state.speakingSinceMs === null
  return openedMs + (heardNothing ? Math.min(settings.noSpeechMs, settings.budgetMs) : settings.budgetMs)
}

/** One step under way. Methods change `state`, which is this step's own copy. */
class Machine {
  readonly effects: AmdEffect[] = []
  readonly state: AmdState
  readonly #nowMs: number

  constructor(state: AmdState, nowMs: number) {
    this.state = state
    this.#nowMs = nowMs
  }

  take(event: AmdEvent): void {
    switch (event.type) {
      case 'speech_start':
        this.#started(event.atMs)
        break
      case 'speech_stop':
        this.#stopped(event.atMs)
        break
      case 'partial':
        this.state.partial = event.text
        this.#words()
        break
      case 'final':
        this.state.finals = `${this.state.finals} ${event.text}`.trim()
        this.state.partial = ''
        this.#words()
        break
      case 'tone_start':
        this.#toneStarted(event.atMs)
        break
      case 'tone':
        this.#tone(event.hz, event.durationMs)
        break
      case 'timer':
    }
    this.#settleSilence(this.#nowMs)
    if (!this.state.over && this.#nowMs >= limitMs(this.state)) this.#timeIsUp()
  }

  #started(atMs: number): void {
    if (this.state.toneSounds) return
    this.#settleSilence(atMs)
    this.state.speakingSinceMs ??= atMs
  }

  #toneStarted(atMs: number): void {
    const { state } = this
    this.#settleSilence(atMs)
    state.toneSounds = true
    if (state.speakingSinceMs !== null && state.speakingSinceMs > atMs - TONE_EDGE_MS) state.speakingSinceMs = null
  }

  #stopped(atMs: number): void {
    const { state } = this
    if (state.speakingSinceMs === null) return
    state.spokenMs += Math.max(0, atMs - state.speakingSinceMs)
    state.speakingSinceMs = null
    state.silentSinceMs = atMs
  }

  /** A silence that has lasted long enough means something, also when the timer for it comes late. */
  #settleSilence(untilMs: number): void {
    const { state } = this
    if (state.over || untilMs < silenceDueMs(state)) return
    if (isMachine(state.verdict)) return this.#greetingEnded('silence')
    if (soundsHuman(state)) return this.#verdict('human', 'short_greeting')
    this.#verdict('machine', 'long_greeting')
    this.#settleSilence(untilMs)
  }

  #words(): void {
    const { state } = this
    const { language, humanSpeechMs } = state.settings
    const sign = signIn(wordsOf(state), language, spokenMs(state, this.#nowMs) > humanSpeechMs)
    if (sign === null || sign === state.verdict || state.verdict === 'fax') return
    // A person may go on after "how can I help": their silence decides.
    if (state.verdict === null ? sign === 'human' : !CORRECTIONS[state.verdict]?.includes(sign)) return
    this.#verdict(sign, 'words')
  }

  #tone(hz: number, durationMs: number): void {
    const { state } = this
    state.toneSounds = false
    if (Math.abs(hz - FAX_HZ) <= FAX_BESIDE_HZ && durationMs >= FAX_MIN_MS) return this.#verdict('fax', 'tone')
    const ofNetwork = state.spokenMs === 0 && state.speakingSinceMs === null && hz >= NETWORK_FROM_HZ && hz <= NETWORK_TO_HZ
    if (ofNetwork || durationMs > BEEP_MAX_MS) return
    if (!isMachine(state.verdict)) this.#verdict('machine', 'tone')
    this.#greetingEnded('beep')
  }

  #verdict(verdict: AmdVerdict, reason: AmdReason): void {
    const revised = this.state.verdict !== null
    if (verdict === this.state.verdict) return
    this.state.verdict = verdict
    this.effects.push({ do: 'verdict', verdict, reason, revised })
    if (verdict === 'fax') this.state.over = true
  }

  #greetingEnded(by: 'beep' | 'silence' | 'time'): void {
    const { state } = this
    this.effects.push({ do: 'greeting_ended', by, takesMessages: !isFull(wordsOf(state), state.settings.language) })
    state.greetingEnded = by === 'silence' ? 'silence' : 'over'
    state.over = by !== 'silence'
  }

  #timeIsUp(): void {
    const { state } = this
    if (state.greetingEnded === 'silence' || state.verdict === 'human') return void (state.over = true)
    if (isMachine(state.verdict)) return this.#greetingEnded('time')
    const heard = spokenMs(state, this.#nowMs)
    if (heard === 0 && state.verdict === null) this.#verdict('unknown', 'no_speech')
    else if (heard > state.settings.humanSpeechMs) this.#verdict('machine', 'long_greeting')
    else this.#verdict('unknown', 'budget')
    if (state.verdict === 'unknown' && this.#nowMs >= state.openedMs + state.settings.budgetMs) state.over = true
  }
}
