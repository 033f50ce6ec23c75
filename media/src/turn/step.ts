import { TURN_DEFAULTS, type Stage, type TurnEffect, type TurnEvent, type TurnSettings, type TurnState, type WaitName } from './contract.ts'
import { createPauseModel, endpointWaitMs, notePause } from './endpointing.ts'
import { satisfies } from './expectation.ts'
import { isBackchannel } from './lexicon.ts'

export type Step = { state: TurnState; effects: TurnEffect[] }

/** A call whose line is open: nobody has said anything. `nowMs`: monotonic. */
export function openTurns(settings: Partial<TurnSettings>, nowMs: number): TurnState {
  const all = { ...TURN_DEFAULTS, ...settings }
  return {
    settings: all,
    caller: 'silent', speechSinceMs: nowMs, speechEndedMs: nowMs, finals: [], partial: '', confidence: 1, saysDone: false, melody: null,
    agent: 'idle', ducked: false, turn: 0, unanswered: '', prepared: null, replyDone: true,
    expectation: { kind: 'free' }, pauses: createPauseModel(), askedAgain: 0, asked: 0,
    waits: { silence: { sinceMs: nowMs, dueMs: nowMs + all.silenceMs } },
    endsAtMs: nowMs + all.maxDurationMs, over: false,
  }
}

/** When the machine wants a `timer` at the latest; null once the call is over. */
export function nextDueMs(state: TurnState): number | null {
  if (state.over) return null
  return Math.min(state.endsAtMs, ...Object.values(state.waits).map((wait) => wait.dueMs))
}

/** One event in, what follows out. Pure: the given state is not changed, the same events give the same effects. */
export function step(before: TurnState, event: TurnEvent): Step {
  if (before.over) return { state: before, effects: [] }
  const machine = new Machine({ ...before, finals: [...before.finals], waits: { ...before.waits } }, event.nowMs)
  machine.take(event)
  return { state: machine.state, effects: machine.effects }
}

/** One step under way. Methods change `state`, which is this step's own copy. */
class Machine {
  readonly effects: TurnEffect[] = []
  readonly state: TurnState
  readonly #nowMs: number

  constructor(state: TurnState, nowMs: number) {
    this.state = state
    this.#nowMs = nowMs
  }

  take(event: TurnEvent): void {
    if (isStale(this.state, event)) return
    switch (event.type) {
      case 'speech_start': return this.#speechStarted()
      case 'speech_stop': return this.#speechStopped()
      case 'partial': return this.#heardPartial(event.text)
      case 'final': return this.#heardFinal(event.text, event.confidence, event.endOfTurn)
      case 'turn_model': return this.#melodyHeard(event.probability)
      case 'expect':
        this.state.expectation = event.expectation
        return
      case 'reply_token': return this.#replyMoved('first_token', 'first_audio', this.state.settings.deadlines.firstAudioMs)
      case 'reply_audio': return this.#replyMoved('first_audio', 'playout', this.state.settings.deadlines.playoutMs)
      case 'reply_done': return this.#replyDone()
      case 'reply_failed': return this.#breach('first_token')
      case 'tool_started': return this.#toolStarted()
      case 'tool_ended': return this.#toolEnded()
      case 'playout_started': return this.#playoutStarted()
      case 'playout_ended': return this.#playoutEnded()
      case 'company': return this.#inCompany()
      case 'digits': return this.#digits(event.digits)
      case 'timer': return this.#timer()
      case 'hung_up':
        this.state.over = true
        this.state.waits = {}
    }
  }

  // ── The caller speaks ───────────────────────────────────────────────────────────────────────────────────────────────
  #speechStarted(): void {
    const { state } = this
    if (state.caller === 'speaking') return
    state.saysDone = false
    if (state.caller === 'pausing') state.pauses = notePause(state.pauses, this.#nowMs - state.speechEndedMs)
    state.caller = 'speaking'
    state.melody = null
    state.speechSinceMs = this.#nowMs
    this.#stopWaiting('silence', 'endpoint', 'stt_final', 'resume')
    this.#discardPrepared()
    if (state.agent === 'thinking') this.#callerGoesOn()
    else if (state.agent === 'speaking' && state.settings.interruptible) {
      this.#wait('duck', state.settings.duckAfterMs)
      this.#wait('commit', state.settings.commitAfterMs)
    }
  }

  /** Before a word of the answer was heard: it was no end, but a pause. Both parts are answered together. */
  #callerGoesOn(): void {
    this.effects.push({ do: 'cancel_reply', turn: this.state.turn })
    this.#agentFallsSilent()
    this.state.finals.unshift(this.state.unanswered)
    this.state.unanswered = ''
  }

  #speechStopped(): void {
    const { state } = this
    if (state.caller !== 'speaking') return
    state.caller = 'pausing'
    state.speechEndedMs = this.#nowMs
    this.effects.push({ do: 'finish_stt' })
    this.#stopWaiting('duck', 'commit')
    if (state.agent === 'speaking') this.#wait('resume', state.settings.resumeAfterMs)
    else this.#waitForEnd()
  }

  #heardPartial(text: string): void {
    this.state.partial = text
    if (text.trim() !== '') this.state.saysDone = false
    this.#heard(text)
  }

  #heardFinal(text: string, confidence: number | null, endOfTurn: boolean): void {
    this.state.partial = ''
    if (text.trim() === '') return
    this.state.finals.push(text.trim())
    this.state.confidence = Math.min(this.state.confidence, confidence ?? 1)
    this.state.saysDone = endOfTurn
    this.#heard(text)
    if (endOfTurn && this.state.caller === 'pausing' && this.state.agent === 'idle' && this.#endpointWaitMs() === 0) return this.#endTurn()
    this.#prepare()
  }

  /** Words are what makes an interruption: a "mhm" does not. They also move the end of the turn. */
  #heard(text: string): void {
    const { state } = this
    if (text.trim() === '') return
    if (state.agent === 'speaking') {
      if (!state.settings.interruptible || isBackchannel(this.#said(), state.settings.language)) return
      // Also words that come after the pause which looked like a mere "mhm".
      if (state.caller === 'silent') state.caller = 'pausing'
      return this.#cut()
    }
    if (state.agent === 'thinking' && state.caller === 'pausing') return
    if (state.caller === 'pausing') this.#waitForEnd()
    else if (state.caller === 'silent') {
      // The recogniser heard what the voice detector did not.
      state.caller = 'pausing'
      state.speechEndedMs = this.#nowMs
      this.#stopWaiting('silence')
      this.#waitForEnd()
    }
  }

  /** Comes a little after the pause began: the wait that is going on becomes shorter or longer. */
  #melodyHeard(probability: number): void {
    if (this.state.caller !== 'pausing') return
    this.state.melody = probability
    if ('endpoint' in this.state.waits) this.#waitForEnd()
  }

  #cut(): void {
    this.effects.push({ do: 'cut', turn: this.state.turn })
    this.#agentFallsSilent()
    this.state.unanswered = ''
    if (this.state.caller === 'pausing') this.#waitForEnd()
  }

  // ── The end of the caller's turn ────────────────────────────────────────────────────────────────────────────────────
  #waitForEnd(): void {
    const { state } = this
    if (state.agent !== 'idle') return
    const said = this.#said()
    const done = said !== '' && state.partial === '' && satisfies(state.expectation, said)
    this.#waitUntil('endpoint', done ? this.#nowMs : Math.max(this.#nowMs, state.speechEndedMs + this.#endpointWaitMs()))
  }

  #endpointWaitMs(): number {
    const { expectation, pauses, melody, saysDone, partial, settings: { mode, sttFinalP99Ms } } = this.state
    const said = this.#said()
    return endpointWaitMs({ transcript: said, isFinal: partial === '' && said !== '', expectation, pauses, mode, sttFinalP99Ms, saysDone, ...(melody === null ? {} : { smartTurnProbability: melody }) })
  }

  /** It is silent for long enough. Words that are still on their way are waited for, for as long as this recogniser may take. */
  #endpointReached(): void {
    const { state } = this
    const mayCome = state.speechEndedMs + state.settings.sttFinalP99Ms
    if (state.finals.length > 0 && state.partial === '') this.#endTurn()
    else if (this.#nowMs < mayCome) this.#waitUntil('stt_final', mayCome)
    else this.#finalMissed()
  }

  #finalMissed(): void {
    const { state } = this
    if (this.#said() !== '') return this.#endTurn()
    const spokeMs = state.speechEndedMs - state.speechSinceMs
    state.caller = 'silent'
    // A cough, a door. Long sound without a word is a recogniser that failed.
    if (spokeMs < state.settings.commitAfterMs) return this.#waitForCaller()
    this.effects.push({ do: 'incident', stage: 'stt_final', waitedMs: this.#nowMs - state.speechEndedMs })
    this.#askAgain()
  }

  #endTurn(): void {
    const { state } = this
    const text = this.#said()
    const doubtful = state.confidence < state.settings.confidenceMin
    this.#forgetWords()
    state.caller = 'silent'
    if (doubtful && state.askedAgain < state.settings.askAgainMax) return this.#askAgain()
    state.askedAgain = 0
    this.#reply(text)
  }

  #askAgain(): void {
    this.#discardPrepared()
    this.state.askedAgain += 1
    this.effects.push({ do: 'say', what: 'ask_again' })
    this.#waitForCaller()
  }

  #reply(text: string): void {
    const { state } = this
    if (state.prepared === null) state.turn += 1
    else if (state.prepared !== text) {
      this.#discardPrepared()
      state.turn += 1
    }
    state.prepared = null
    state.unanswered = text
    state.agent = 'thinking'
    state.replyDone = false
    state.expectation = { kind: 'free' }
    state.asked = 0
    this.#stopWaiting('endpoint', 'stt_final', 'silence')
    this.#wait('first_token', state.settings.deadlines.firstTokenMs)
    this.effects.push({ do: 'reply', turn: state.turn, text })
  }

  /** Everything said so far is final and it is silent: the model may begin before the turn is certain to be over. */
  #prepare(): void {
    const { state } = this
    const text = this.#said()
    if (state.caller !== 'pausing' || state.agent !== 'idle' || state.partial !== '' || text === '' || text === state.prepared) return
    if (state.confidence < state.settings.confidenceMin) return
    this.#discardPrepared()
    state.turn += 1
    state.prepared = text
    this.effects.push({ do: 'prepare', turn: state.turn, text })
  }

  #discardPrepared(): void {
    if (this.state.prepared === null) return
    this.effects.push({ do: 'discard_prepared', turn: this.state.turn })
    this.state.prepared = null
  }

  #digits(digits: string): void {
    this.#discardPrepared()
    if (this.state.agent === 'speaking') this.#cut()
    else if (this.state.agent === 'thinking') this.#callerGoesOn()
    const text = [...this.state.finals, digits].join(' ').trim()
    this.#forgetWords()
    this.state.caller = 'silent'
    this.#reply(text)
  }

  // ── The agent's answer ──────────────────────────────────────────────────────────────────────────────────────────────
  #replyMoved(done: WaitName, next: WaitName, withinMs: number): void {
    if (!(done in this.state.waits)) return
    this.#stopWaiting(done, 'tool_filler', 'tool')
    this.#wait(next, withinMs)
  }

  #toolStarted(): void {
    const { deadlines } = this.state.settings
    this.#stopWaiting('first_token', 'first_audio')
    this.#wait('tool_filler', deadlines.toolFillerMs)
    this.#wait('tool', deadlines.toolMs)
  }

  #toolEnded(): void {
    this.#stopWaiting('tool_filler', 'tool')
    if (this.state.agent === 'thinking') this.#wait('first_token', this.state.settings.deadlines.firstTokenMs)
  }

  #replyDone(): void {
    this.state.replyDone = true
    this.#stopWaiting('first_token', 'tool', 'tool_filler')
    // Nothing to say (a hang-up, a transfer): there is no playout to wait for.
    if (this.state.agent === 'thinking' && !('first_audio' in this.state.waits) && !('playout' in this.state.waits)) this.#agentDone()
  }

  #playoutStarted(): void {
    if (this.state.agent === 'thinking') this.state.unanswered = ''
    this.state.agent = 'speaking'
    this.#stopWaiting('silence')
    if (!('playout' in this.state.waits)) this.#wait('playout', this.state.settings.deadlines.playoutMs)
    if (this.state.caller === 'speaking' && this.state.settings.interruptible) {
      this.#wait('duck', this.state.settings.duckAfterMs)
      this.#wait('commit', this.state.settings.commitAfterMs)
    }
  }

  #playoutEnded(): void {
    if (this.state.agent === 'speaking' && this.state.replyDone) this.#agentDone()
  }

  #inCompany(): void {
    this.state.asked = 0
    if ('silence' in this.state.waits) this.#waitForCaller()
  }

  #agentDone(): void {
    this.#agentFallsSilent()
    if (this.state.caller === 'pausing') this.#waitForEnd()
    else if (this.state.caller === 'silent') this.#waitForCaller()
  }

  #agentFallsSilent(): void {
    this.state.agent = 'idle'
    this.state.replyDone = true
    if (this.state.ducked) this.effects.push({ do: 'unduck' })
    this.state.ducked = false
    this.#stopWaiting('duck', 'commit', 'resume', 'first_token', 'first_audio', 'tool_filler', 'tool', 'playout')
  }

  #waitForCaller(): void {
    this.#wait('silence', this.state.settings.silenceMs)
  }

  // ── Time ────────────────────────────────────────────────────────────────────────────────────────────────────────────
  #timer(): void {
    if (this.#nowMs >= this.state.endsAtMs) return this.#end('max_duration')
    for (const name of Object.keys(this.state.waits) as WaitName[]) {
      const wait = this.state.waits[name]
      if (!wait || wait.dueMs > this.#nowMs) continue
      delete this.state.waits[name]
      this.#due(name, this.#nowMs - wait.sinceMs)
    }
  }

  #due(name: WaitName, waitedMs: number): void {
    switch (name) {
      case 'duck': return this.#duck()
      case 'commit': return this.#cut()
      case 'resume': return this.#wasBackchannel()
      case 'endpoint': return this.#endpointReached()
      case 'stt_final': return this.#finalMissed()
      case 'silence': return this.#callerSilent()
      case 'tool_filler':
        this.effects.push({ do: 'say', what: 'filler' })
        return
      case 'first_token':
      case 'first_audio':
      case 'tool':
      case 'playout':
        this.effects.push({ do: 'incident', stage: name, waitedMs })
        return this.#breach(name)
    }
  }

  #duck(): void {
    this.state.ducked = true
    this.effects.push({ do: 'duck' })
  }

  /** The caller made a sound and left the word to the agent: on as before, and the sound is not part of what they say next. */
  #wasBackchannel(): void {
    if (this.state.ducked) this.effects.push({ do: 'unduck' })
    this.state.ducked = false
    this.state.caller = 'silent'
    this.#forgetWords()
  }

  #callerSilent(): void {
    const { state } = this
    if (state.asked >= state.settings.silencePrompts) return this.#end('silence')
    state.asked += 1
    this.effects.push({ do: 'say', what: 'are_you_there' })
    this.#waitForCaller()
  }

  #end(reason: 'silence' | 'max_duration'): void {
    if (this.state.agent !== 'idle') this.effects.push({ do: 'cut', turn: this.state.turn })
    this.effects.push({ do: 'say', what: 'goodbye' }, { do: 'hang_up', reason })
    this.state.over = true
    this.state.waits = {}
  }

  /** A stage has failed. The supplier of it is left, and the caller hears that somebody is there. */
  #breach(stage: Stage): void {
    if (this.state.agent === 'idle') return
    const turn = this.state.turn
    if (stage !== 'playout' && stage !== 'tool') this.effects.push({ do: 'switch', vendor: stage === 'first_audio' ? 'tts' : 'model' })
    this.effects.push({ do: 'cut', turn })
    this.#agentFallsSilent()
    this.state.unanswered = ''
    if (stage !== 'playout') this.effects.push({ do: 'say', what: 'recovery' })
    this.#agentDone()
  }

  // ── Words and waits ─────────────────────────────────────────────────────────────────────────────────────────────────
  #said(): string {
    return [...this.state.finals, this.state.partial].filter((part) => part !== '').join(' ').trim()
  }

  #forgetWords(): void {
    this.state.finals = []
    this.state.partial = ''
    this.state.confidence = 1
    this.state.saysDone = false
  }

  #wait(name: WaitName, ms: number): void {
    this.#waitUntil(name, this.#nowMs + ms)
  }

  #waitUntil(name: WaitName, dueMs: number): void {
    this.state.waits[name] = { sinceMs: this.#nowMs, dueMs }
  }

  #stopWaiting(...names: WaitName[]): void {
    for (const name of names) delete this.state.waits[name]
  }
}

/** News of a reply that was cancelled or cut, or of one before it. */
function isStale(state: TurnState, event: TurnEvent): boolean {
  return 'turn' in event && (event.turn !== state.turn || state.agent === 'idle')
}
