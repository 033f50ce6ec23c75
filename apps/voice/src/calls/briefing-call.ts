import { carryingPrice, rateSpeech } from '@trunkline/billing'
import type { Carrier, CarrierConfig } from '@trunkline/channels'
import { AppError, parseCallWord, type Briefing, type CallEndReason, type EndedCallStatus, type SpeechUsage, type SupervisionMode, type VoiceSettings } from '@trunkline/core'
import { calls, openJson } from '@trunkline/db'
import { createResampler, type Replier, type SampleRateHz } from '@trunkline/media'
import type { WebSocket } from 'ws'
import { hangUpAtCarrier } from './carrier.ts'
import { CallJournal } from './journal.ts'
import type { CallSpeech, Gone, LiveCallDeps } from './live-call.ts'
import { PhoneCall, type PhoneCallReport } from './phone-call.ts'
import { phrasesFor, type Phrases } from './phrases.ts'
import { SupervisionDesk } from './supervision-desk.ts'
import { Supervision, type Whisper } from './supervision.ts'
import { connect, takeBack } from './warm-transfer.ts'

export type BriefingFacts = { call: calls.Call; epoch: number; carrier: Carrier; config: CarrierConfig; settings: VoiceSettings; briefing: Briefing }

const YES = /^\W*(?:1\b|yes|yeah|sure|okay|ok\b|ja\b|gerne|sí|si\b|claro|oui|d'accord|greit)/i
const NO = /^\W*(?:2\b|no\b|nope|not now|nein|non\b|nei\b|ahora no)/i
const MAX_MS = 120_000

/** The leg to a colleague who is to take over: told what it is about, asked, and connected with the caller who waits. */
export class BriefingCall {
  readonly facts: BriefingFacts
  readonly #deps: LiveCallDeps
  readonly #journal: CallJournal
  readonly #phone: PhoneCall
  readonly #phrases: Phrases
  readonly #desk: SupervisionDesk
  readonly #unlisten: () => void
  readonly #done = Promise.withResolvers<Gone>()
  #answer: 'yes' | 'no' | null = null
  #lost = false
  /** The caller hears by the way back that it came to nothing. */
  #isTold = false

  constructor(facts: BriefingFacts, speechFor: (onUsage: (usage: SpeechUsage) => void) => CallSpeech, deps: LiveCallDeps) {
    this.facts = facts
    this.#deps = deps
    const { call, epoch, settings, briefing } = facts
    this.#phrases = phrasesFor(settings.voice.language)
    this.#journal = new CallJournal(deps, { callId: call.id, epoch }, () => this.lose())
    const { vad, stt, tts } = speechFor((usage) => this.#journal.used({ kind: 'speech', usage, costMicros: rateSpeech(usage, { atMs: call.createdAt.getTime() })?.amountMicros ?? 0n }))
    const { text } = openJson(deps.keyring, Buffer.from(briefing.sealed, 'base64'), call.tenantId) as { text: string }
    this.#phone = new PhoneCall({
      wheel: deps.wheel, vad, stt, tts, recording: null, phrases: this.#phrases, lineBack: this.#phrases.line_back,
      voice: { id: '', speed: settings.voice.speed, language: settings.voice.language },
      greeting: `${this.#phrases.briefing} ${text} ${this.#phrases.take_it}`,
      settings: { maxDurationMs: MAX_MS },
      replier: this.#replier,
      onLine: () => {},
      onKey: () => {},
      onEvent: (event) => event.type === 'ended' && this.#decided(event.reason === 'transfer' ? 'yes' : 'no'),
      onEnded: (report) => void this.#finish(report),
    })
    this.#desk = new SupervisionDesk({ callId: call.id, bell: deps.bell, log: deps.log, journal: this.#journal, open: () => this.#supervision() })
    this.#unlisten = deps.bell.listen(`call:${call.id}`, (word) => this.#desk.hear(parseCallWord(word) ?? {}))
  }

  get done(): Promise<Gone> {
    return this.#done.promise
  }

  get isOver(): boolean {
    return this.#phone.isOver
  }

  attach(socket: WebSocket): void {
    this.#phone.attach(socket, this.facts.carrier.mediaWire(this.facts.config))
  }

  lose(): void {
    this.#lost = true
    this.#phone.hangUp()
  }

  hangUp(_ending: { status: EndedCallStatus; reason: CallEndReason }): void {
    this.#decided('no')
  }

  /** No model: yes, no, or once more. */
  readonly #replier: Replier = async (run) => {
    const { text } = run
    if (YES.test(text)) {
      run.onText(this.#phrases.transfer)
      return 'transfer'
    }
    if (NO.test(text)) {
      run.onText(this.#phrases.goodbye)
      return 'hang_up'
    }
    run.onText(this.#phrases.take_it)
    return 'listen'
  }

  /** Whoever whispers here is heard by the colleague alone: the caller waits elsewhere. */
  #supervision(): Supervision {
    const sampleRateHz = this.#phone.sampleRateHz
    if (sampleRateHz === null) throw new AppError('invalid_state', { message: 'There is no sound of this call yet.' })
    const watched = new Supervision({
      callId: this.facts.call.id, sampleRateHz, plane: this.#deps.plane, admit: admitted,
      onVoice: () => {}, onTakeOver: () => {}, onLeft: () => this.#journal.event('status', null, { supervisor: 'left' }),
      whisper: (rateHz) => this.#whisper(rateHz, sampleRateHz),
    })
    this.#phone.listen(watched)
    return watched
  }

  #whisper(fromHz: SampleRateHz, toHz: SampleRateHz): Whisper {
    const resampler = fromHz === toHz ? null : createResampler({ fromHz, toHz })
    return { frame: (pcm) => this.#phone.speakBeside(resampler ? resampler.process(pcm) : pcm), end: () => resampler?.close(), close: () => resampler?.close() }
  }

  #decided(answer: 'yes' | 'no'): void {
    if (this.#answer) return
    this.#answer = answer
    void (answer === 'yes' ? this.#connect() : this.#leave())
  }

  async #connect(): Promise<void> {
    const { call, carrier, config, briefing } = this.facts
    const first = await this.#deps.db.system('calls', (tx) => calls.find(tx, briefing.call_id))
    const isThere = first !== null && first.endedAt === null
    try {
      if (isThere) return await connect(this.#deps, first, call, config)
    } catch (error) {
      this.#deps.log.warn({ error, callId: call.id }, 'a caller could not be connected with a colleague')
      if (!(await takeBack(this.#deps, first!, carrier, config))) return
      this.#isTold = true
    }
    this.#answer = 'no'
    await this.#leave()
  }

  async #leave(): Promise<void> {
    await hangUpAtCarrier(this.#deps, this.facts.call, this.facts.config)
    this.#phone.hangUp()
  }

  async #finish(_report: PhoneCallReport): Promise<void> {
    const { call, epoch, briefing } = this.facts
    this.#unlisten()
    this.#desk.close()
    let how: Gone = 'lost'
    try {
      if (!this.#lost) await this.#journal.settle()
      if (!this.#lost) {
        how = await this.#deps.db.system('calls', async (tx) => {
          if (this.#answer === 'yes') return (await calls.release(tx, { callId: call.id, epoch })) ? 'released' : 'lost'
          const { outcome } = await calls.end(tx, { callId: call.id, epoch, status: 'completed', reason: 'agent_hung_up', at: new Date(this.#deps.clock.nowMs()), carrying: carryingPrice })
          return outcome === 'fenced' ? 'lost' : 'ended'
        })
      }
      if (this.#answer !== 'yes' && !this.#isTold) this.#deps.bell.ring(`call:${briefing.call_id}`, JSON.stringify({ colleague: 'declined' }))
    } catch (error) {
      this.#deps.log.error({ error, callId: call.id }, 'a call to a colleague could not be ended')
    } finally {
      this.#done.resolve(how)
    }
  }
}

/** There is nobody to take over from, and a line carries one voice beside the agent's. */
function admitted(mode: SupervisionMode, others: readonly SupervisionMode[]): void {
  if (mode === 'barge') throw new AppError('invalid_state', { message: 'In this call a colleague is told about a caller: whisper to them, or barge into the call of the caller.' })
  if (mode === 'whisper' && others.includes('whisper')) throw new AppError('invalid_state', { message: 'Somebody whispers to this colleague already.' })
}
