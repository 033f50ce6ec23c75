import { setTimeout as delay } from 'node:timers/promises'
import type { HistoryItem, HttpToolPort, TurnDeps, TurnResult } from '@trunkline/agents'
import { carryingPrice, holdForCall, rateModels, rateSpeech } from '@trunkline/billing'
import { CARRIER_TIMEOUT_MS, isUndone, NEWS_WITHIN_MS, stepUrl, type Carrier, type CarrierClient, type CarrierConfig, type VoiceAddresses } from '@trunkline/channels'
import { AppError, CallOptions, modelsOf, newId, parseCallWord, type Breakers, type CallEndReason, type CarrierId, type Clock, type EndedCallStatus, type Id, type Logger, type ModelUsage, type PromptContent, type SpeechUsage, type VoiceSettings } from '@trunkline/core'
import { calls, sealJson, type Bell, type Db, type Keyring, type Saying } from '@trunkline/db'
import { Dictation, type AmdVerdict, type MediaPlane, type PipelineEvent, type PlayoutClock, type RecordingSink, type SaidInCall, type SmartTurn, type SttEngine, type TtsEngine, type Vad } from '@trunkline/media'
import { bringBack, hangUpAtCarrier } from './carrier.ts'
import { CallCredit } from './credit.ts'
import { CallJournal, type JournalDeps } from './journal.ts'
import type { MediaSocket } from './line.ts'
import { PhoneCall, type PhoneCallReport } from './phone-call.ts'
import { phrasesFor, type Phrases } from './phrases.ts'
import { SupervisionDesk } from './supervision-desk.ts'
import { Supervision } from './supervision.ts'
import { createReplier } from './replier.ts'
import { inCall } from './times.ts'
import { callColleague, type Errand } from './warm-transfer.ts'

export type LiveCallDeps = JournalDeps & {
  db: Db
  keyring: Keyring
  clock: Clock
  log: Logger
  bell: Pick<Bell, 'listen' | 'ring'>
  /** Rooms for people who hear calls. Rejects with AppError `unavailable` where there is no media worker. */
  plane: () => Promise<MediaPlane>
  wheel: PlayoutClock
  tools: HttpToolPort
  breakers: Breakers
  vendors: TurnDeps['vendors']
  carrierClients: Record<CarrierId, CarrierClient>
  addresses: VoiceAddresses
  /** For live views: what is being said. */
  onSaying: (call: calls.Call, saying: Saying) => void
  onCharged: (tenantId: Id) => void
  /** Whoever puts the agent under test looks at its answers. */
  onAnswer?: (result: TurnResult) => void
}

export type CallSpeech = { vad: Vad; smartTurn: SmartTurn | null; stt: SttEngine; tts: TtsEngine; /** For holds. */ engines: { stt: { engine: string; model: string }[]; tts: { engine: string; model: string }[] } }

/** Everything about one call that does not change while it lives. */
export type LiveCallFacts = {
  call: calls.Call
  epoch: number
  /** False: it goes on after it was elsewhere (another process, a transfer that came to nothing). */
  isFirst: boolean
  /** What its sound was away for: keys were pressed, or a transfer came to nothing. */
  after: calls.Claimed['after']
  /** When its sound came to this process, in milliseconds of the call; 0 for the first. */
  sinceMs: number
  carrier: Carrier
  config: CarrierConfig
  settings: VoiceSettings
  prompt: PromptContent
  contact: { id: Id; name?: string; known: Record<string, string> }
  history: HistoryItem[]
  /** Null: not recorded. */
  recording: RecordingSink | null
}

/** `released`: it goes on without us. `lost`: somebody else has it, or it could not be written. */
export type Gone = 'ended' | 'released' | 'lost'
type Ending = { status: EndedCallStatus; reason: CallEndReason }

/** A call whose sound came back after its time was over still hears why. */
const SHORTEST_MS = 5_000
const VOICEMAIL: Ending = { status: 'completed', reason: 'voicemail' }
/** Beyond the ringing: listening, and saying yes. */
const BRIEFED_WITHIN_SECONDS = 90
const PARTIAL_EVERY_MS = 250
/** As long as a note that is written (apps/api). */
const NOTE_MAX = 2_000

/** One phone call that this process has: sound, agent, journal, credits, and the end. */
export class LiveCall {
  readonly facts: LiveCallFacts
  readonly #deps: LiveCallDeps
  readonly #journal: CallJournal
  readonly #phone: PhoneCall
  readonly #history: HistoryItem[]
  /** When the items of this call were said: the last ones of the history. */
  readonly #spokenAt: number[] = []
  readonly #phrases: Phrases
  readonly #speech: CallSpeech
  readonly #credit: CallCredit
  readonly #unlisten: () => void
  #ending: Ending | null = null
  #lost = false
  #over = false
  readonly #desk: SupervisionDesk
  /** A colleague who is being called. */
  #errand: Errand | null = null
  #patience: NodeJS.Timeout | null = null
  /** Of what the caller is saying now: its parts and its final have the same. */
  #utteranceId = newId()
  #toldMs = 0
  readonly #done = Promise.withResolvers<Gone>()

  constructor(facts: LiveCallFacts, speechFor: (onUsage: (usage: SpeechUsage) => void) => CallSpeech, deps: LiveCallDeps) {
    this.facts = facts
    this.#deps = deps
    const { call, epoch, settings, isFirst } = facts
    this.#journal = new CallJournal(deps, { callId: call.id, epoch }, () => this.lose())
    this.#history = [...facts.history]
    this.#phrases = phrasesFor(settings.voice.language)
    this.#speech = speechFor((usage) => this.#spoke(usage))
    this.#credit = new CallCredit({ clock: deps.clock, log: deps.log, callId: call.id, sinceMs: facts.sinceMs, holds: call.holdIds.length, reserve: (minutes) => this.#reserve(minutes), onShort: () => this.#creditOver(), onOver: () => this.lose() })
    this.#phone = this.#dial(isFirst)
    this.#desk = new SupervisionDesk({ callId: call.id, bell: deps.bell, log: deps.log, journal: this.#journal, open: () => this.#supervision() })
    this.#unlisten = deps.bell.listen(`call:${call.id}`, (word) => this.#hear(word))
  }

  /** Resolves when everything that this process knows of the call is written. */
  get done(): Promise<Gone> {
    return this.#done.promise
  }

  attach(socket: MediaSocket): void {
    this.#phone.attach(socket, this.facts.carrier.mediaWire(this.facts.config))
  }

  /** Somebody else has the call, or it is over: nothing more is written, and the line is let go of. */
  lose(): void {
    this.#lost = true
    this.#phone.hangUp()
  }

  hangUp(ending: Ending): void {
    this.#ending ??= ending
    void this.#leave()
  }

  /** What the other side of a simulated call has used: its voice, its ears, its wits. Too late once the call is over. */
  alsoUsed(usage: { speech: SpeechUsage } | { model: ModelUsage }): void {
    if ('speech' in usage) this.#spoke(usage.speech)
    else this.#thought(usage.model, true)
  }

  get stats(): PhoneCall['stats'] {
    return this.#phone.stats
  }

  #dial(isFirst: boolean): PhoneCall {
    const { settings, prompt, call, contact, recording } = this.facts
    const { vad, smartTurn, stt, tts } = this.#speech
    const options = CallOptions.parse(call.options)
    const greeting = isFirst ? [recording ? settings.recording.announcement : null, settings.greeting].filter((text) => text !== null).join(' ') : this.#back
    return new PhoneCall({
      wheel: this.#deps.wheel, vad, echoGate: true, smartTurn, stt, tts, recording, phrases: this.#phrases, lineBack: this.#phrases.line_back,
      // Which voice each engine has is the chain's to know.
      voice: { id: '', speed: settings.voice.speed, language: settings.voice.language },
      greeting: greeting === '' ? null : greeting,
      detectAnswer: isFirst && options.detect_machine === true,
      settings: {
        interruptible: settings.barge_in, maxDurationMs: Math.max(SHORTEST_MS, settings.max_duration_seconds * 1_000 - this.facts.sinceMs),
        silenceMs: settings.silence.prompt_after_seconds * 1_000, silencePrompts: settings.silence.prompts,
      },
      replier: createReplier(prompt, { tenantId: call.tenantId, conversationId: call.conversationId!, callId: call.id, contact, history: () => this.#history }, {
        ...this.#deps,
        onSpent: (_turn, { usage }, billed) => usage.forEach((use) => this.#thought(use, billed)),
        onResult: (turn, result) => {
          result.effects.forEach((effect) => effect.type === 'lead_field' && this.#note(effect.field, effect.value, turn))
          this.#deps.onAnswer?.(result)
        },
      }),
      onLine: (start, first) => {
        this.#journal.event('status', null, { line: first ? 'open' : 'back', stream_id: start.streamId, inbound: start.inbound, outbound: start.outbound })
        if (first) this.#credit.start()
      },
      // Which key it was may be a secret (a PIN): what was keyed in is in the conversation, sealed.
      onKey: () => this.#journal.event('dtmf', null, { keys: 1 }),
      onEvent: (event) => this.#event(inCall(event, this.facts.sinceMs)),
      onEnded: (report) => void this.#finish(report),
    })
  }

  /** Keys that were pressed interrupt nobody. */
  get #back(): string {
    const { after } = this.facts
    return after === null ? this.#phrases.line_back : after === 'return' ? this.#phrases.transfer_failed : ''
  }

  /** Its line is gone for good; what is left is to be written. */
  get isOver(): boolean {
    return this.#phone.isOver
  }

  // ── What happens ────────────────────────────────────────────────────────────────────────────────────────────────────
  #event(event: PipelineEvent): void {
    switch (event.type) {
      case 'said': return this.#said(event.said)
      case 'times': return this.#journal.event('turn', event.times.speechEndMs, rounded(event.times))
      case 'interrupted': return this.#journal.event('interrupted', event.atMs, { turn: event.turn })
      case 'incident': return this.#journal.event('incident', null, { stage: event.stage, waited_ms: event.waitedMs, failure: event.failure?.code ?? null })
      case 'ended': return this.#spokenOut(event.reason)
      case 'answered_by': return this.#answeredBy(event.verdict)
      case 'machine_ready': return this.#machineReady(event.takesMessages)
      case 'partial': return this.#hearing(event.text)
    }
  }

  #said(said: SaidInCall): void {
    const { call } = this.facts
    const by = said.by === 'caller' ? 'customer' : 'agent'
    const messageId = by === 'customer' ? this.#utteranceId : newId()
    const atMs = this.#deps.clock.nowMs()
    this.#remember({ messageId, role: by, text: said.text, atMs }, said.startMs)
    this.#journal.said({
      messageId, by, contentSealed: sealJson(this.#deps.keyring, { kind: 'text', text: said.text }, call.tenantId), startMs: Math.round(said.startMs), endMs: Math.round(said.endMs),
      interrupted: said.interrupted, confidence: said.confidence, words: [...said.words], at: new Date(atMs),
    })
    this.#deps.onSaying(call, { messageId, by, text: said.text, startMs: said.startMs, endMs: said.endMs, interrupted: said.interrupted, isFinal: true })
    if (by === 'customer') this.#utteranceId = newId()
  }

  #answeredBy(verdict: AmdVerdict): void {
    this.#journal.event('machine', null, { by: 'agent', verdict })
    const { voicemail_message: message } = CallOptions.parse(this.facts.call.options)
    if (verdict === 'fax' || (verdict === 'machine' && message === undefined)) this.hangUp(VOICEMAIL)
  }

  /** Begins anew when the tone comes after what seemed to be the end. */
  #machineReady(takesMessages: boolean): void {
    const { voicemail_message: message } = CallOptions.parse(this.facts.call.options)
    if (message === undefined || !takesMessages) return this.hangUp(VOICEMAIL)
    this.#ending = VOICEMAIL
    this.#phone.sayLast(message)
  }

  /** Words that may still change, for live views only: a few a second. */
  #hearing(text: string): void {
    const nowMs = this.#deps.clock.nowMs()
    if (nowMs - this.#toldMs < PARTIAL_EVERY_MS) return
    this.#toldMs = nowMs
    this.#deps.onSaying(this.facts.call, { messageId: this.#utteranceId, by: 'customer', text, startMs: 0, endMs: 0, interrupted: false, isFinal: false })
  }

  /** In the order in which it was said: where the agent was cut off is known a moment after the words that did it. */
  #remember(item: HistoryItem, startMs: number): void {
    const after = this.#spokenAt.findLastIndex((at) => at <= startMs) + 1
    this.#spokenAt.splice(after, 0, startMs)
    this.#history.splice(this.#history.length - this.#spokenAt.length + 1 + after, 0, item)
  }

  #note(field: string, value: string, turn: number): void {
    this.facts.contact.known[field] = value
    this.#journal.event('status', null, { lead_field: field, turn })
    void this.#deps.db.system('calls', (tx) => calls.noteContact(tx, this.facts.contact.id, { [field]: value })).catch((error: unknown) => this.#deps.log.warn({ error, callId: this.facts.call.id }, 'a fact about a caller could not be noted'))
  }

  #spoke(usage: SpeechUsage): void {
    const line = rateSpeech(usage, { atMs: this.#ratedAtMs })
    this.#journal.used({ kind: 'speech', usage, costMicros: line?.amountMicros ?? 0n })
  }

  /** An answer that was prepared too early is ours to pay. */
  #thought(usage: ModelUsage, billed: boolean): void {
    this.#journal.used({ kind: 'model', usage, costMicros: billed ? rateModels({ atMs: this.#ratedAtMs, usage: [usage] }).totalMicros : 0n })
  }

  /** The same card for the whole call. */
  get #ratedAtMs(): number {
    return this.facts.call.createdAt.getTime()
  }

  #hear(word: string): void {
    const news = parseCallWord(word)
    if (!news) return this.#deps.log.warn({ callId: this.facts.call.id }, 'a word for a call could not be understood')
    if (news.recording !== undefined && this.#phone.record(news.recording === 'resume')) this.#journal.event('recording', null, { state: news.recording === 'resume' ? 'resumed' : 'paused' })
    this.#desk.hear(news)
    if (news.note !== undefined) this.#told('note', news.note)
    if (news.colleague !== undefined) this.#backFromHold(news.colleague)
    // The carrier says that it is over; a line that has not heard it yet is given a moment to say so itself.
    if (news.ended !== undefined) setTimeout(() => this.#phone.hangUp(), 1_000).unref()
  }

  /** By a person of the business, for the agent's next answers. What was said is kept as messages are: sealed. */
  #told(by: 'note' | 'whisper', text: string): void {
    const { call, sinceMs } = this.facts
    const atMs = sinceMs + (this.#phone.sinceMs ?? 0)
    this.#remember({ messageId: newId(), role: 'note', text: text.slice(0, NOTE_MAX), atMs: this.#deps.clock.nowMs() }, atMs)
    this.#journal.event('note', atMs, { by, sealed: sealJson(this.#deps.keyring, { text: text.slice(0, NOTE_MAX) }, call.tenantId).toString('base64') })
  }

  #supervision(): Supervision {
    const { call, settings } = this.facts
    const { vad, stt } = this.#speech
    const sampleRateHz = this.#phone.sampleRateHz
    if (sampleRateHz === null) throw new AppError('invalid_state', { message: 'There is no sound of this call yet.' })
    const watched = new Supervision({
      callId: call.id, sampleRateHz, plane: this.#deps.plane, admit: (mode) => mode === 'whisper' && this.#agentListens(),
      onVoice: (pcm) => this.#phone.speak(pcm), onTakeOver: (on) => this.#phone.takeOver(on), onLeft: () => this.#journal.event('status', null, { supervisor: 'left' }),
      whisper: (rateHz) => new Dictation({
        sampleRateHz: rateHz, vad, stt, language: settings.voice.language, onText: (text) => this.#told('whisper', text),
        onFailure: ({ code }) => this.#journal.event('incident', null, { stage: 'whisper', waited_ms: 0, failure: code }),
      }),
    })
    this.#phone.listen(watched)
    return watched
  }

  /** While a colleague is told what it is about, it is the colleague who is whispered to: their call has that sound. */
  #agentListens(): void {
    if (this.#patience === null) return
    const details = this.#errand ? { call_id: this.#errand.callId } : {}
    throw new AppError('invalid_state', { message: 'The caller waits while a colleague is told what it is about. Whisper to the colleague, in the call to them.', details })
  }

  // ── Credits ─────────────────────────────────────────────────────────────────────────────────────────────────────────
  #reserve(minutes: number): Promise<'held' | 'insufficient' | 'over'> {
    const { call, epoch, settings, prompt } = this.facts
    const amountMicros = holdForCall({
      atMs: this.#ratedAtMs, carrier: call.carrier, direction: call.direction, minutes,
      models: modelsOf(prompt), ...this.#speech.engines,
    })
    const until = new Date(this.#deps.clock.nowMs() + (settings.max_duration_seconds + 3_600) * 1_000)
    return this.#deps.db.system('calls', (tx) => calls.holdMore(tx, { callId: call.id, epoch }, amountMicros, until))
  }

  #creditOver(): void {
    this.#journal.event('credit', null, { outcome: 'insufficient' })
    this.#ending = { status: 'completed', reason: 'insufficient_credit' }
    this.#phone.sayLast(this.#phrases.credit_over)
  }

  // ── The end ─────────────────────────────────────────────────────────────────────────────────────────────────────────
  #spokenOut(reason: Extract<PipelineEvent, { type: 'ended' }>['reason']): void {
    const { transfer_to: to } = this.facts.settings
    if (reason === 'transfer' && to !== null) return void (this.facts.settings.transfer_mode === 'warm' ? this.#transferWarm() : this.#transfer(to))
    this.hangUp({ status: 'completed', reason: reason === 'silence' ? 'silence' : reason === 'max_duration' ? 'max_duration' : 'agent_hung_up' })
  }

  /** Cold: the caller is put through, and the call ends when the carrier says so. */
  async #transfer(to: string): Promise<void> {
    const { call, config, settings } = this.facts
    const { db, log, carrierClients } = this.#deps
    const transfer = { to, from: call.direction === 'inbound' ? call.to : call.from, timeoutSeconds: settings.transfer_timeout_seconds, resultUrl: stepUrl(this.#deps.addresses, call.numberId, 'transferred', call.id) }
    let isAsked = false
    try {
      await db.system('calls', async (tx) => {
        await calls.wish(tx, call.id, 'transfer')
        await calls.note(tx, call.id, [{ kind: 'transfer', atMs: null, data: { outcome: 'asked' } }])
      })
      isAsked = true
      await carrierClients[call.carrier].transfer(config, call.carrierCallId!, transfer, { key: `transfer:${call.id}:${this.facts.epoch}`, reference: call.id }, AbortSignal.timeout(CARRIER_TIMEOUT_MS))
    } catch (error) {
      log.warn({ error, callId: call.id }, 'a call could not be transferred')
      if (!isAsked) return this.#phone.say(this.#phrases.transfer_failed)
      return this.#notTransferred(isUndone(error)).catch((fault: unknown) => log.error({ error: fault, callId: call.id }, 'a call that was not transferred is left to the recovery'))
    }
    // What is told of the other phone says it, too.
    await db.system('calls', (tx) => calls.transferring(tx, call.id, 'accepted')).catch((error: unknown) => log.warn({ error, callId: call.id }, 'a transfer that a carrier took could not be noted'))
  }

  /** Nobody has been called, or nobody knows: then whatever the carrier does is ended, and the call taken again. The caller hears of it either way. */
  async #notTransferred(isCertain: boolean): Promise<void> {
    const { call, carrier, config } = this.facts
    const stays = isCertain && carrier.can.socketEndsStep
    if (!isCertain) await delay(NEWS_WITHIN_MS)
    const isOurs = await this.#deps.db.system('calls', (tx) => calls.transferFailed(tx, call.id, { stays, data: {} }))
    if (stays) return this.#phone.say(this.#phrases.transfer_failed)
    if (!isOurs || (await bringBack(this.#deps, call, carrier, config)) || this.#over) return
    // Its line is here, and nobody can take it away from us.
    await this.#deps.db.system('calls', (tx) => calls.unwish(tx, call.id, ['return']))
    this.#phone.say(this.#phrases.transfer_failed)
  }

  /** The caller waits with music while a colleague is told what it is about. */
  async #transferWarm(): Promise<void> {
    const { call, carrier, config, settings, prompt } = this.facts
    this.#journal.event('transfer', null, { outcome: 'asked', mode: 'warm' })
    this.#phone.hold()
    // The colleague's process tells how it went; should nobody ever hear that, the caller does not wait for ever.
    this.#patience = setTimeout(() => this.#backFromHold('no_answer'), (settings.transfer_timeout_seconds + BRIEFED_WITHIN_SECONDS) * 1_000)
    try {
      this.#errand = await callColleague(this.#deps, { call, carrier, config, settings, prompt, history: this.#history, onUsage: (usage) => this.#thought(usage, true) })
      if (this.#errand) this.#journal.event('transfer', null, { outcome: 'calling', mode: 'warm', colleague_call_id: this.#errand.callId })
      if (!this.#errand) this.#backFromHold('unreachable')
      else if (this.#over) void this.#errand.cancel()
    } catch (error) {
      this.#deps.log.warn({ error, callId: call.id }, 'a colleague could not be called')
      this.#backFromHold('failed')
    }
  }

  #backFromHold(outcome: string): void {
    if (this.#patience === null) return
    clearTimeout(this.#patience)
    this.#patience = null
    this.#errand = null
    this.#journal.event('transfer', null, { outcome, mode: 'warm' })
    this.#phone.unhold(this.#phrases.transfer_failed)
  }

  /** The carrier is told before the socket closes: what it is to do afterwards is nothing. */
  async #leave(): Promise<void> {
    await hangUpAtCarrier(this.#deps, this.facts.call, this.facts.config)
    this.#phone.hangUp()
  }

  async #finish(report: PhoneCallReport): Promise<void> {
    this.#credit.stop()
    this.#unlisten()
    this.#over = true
    if (this.#patience) clearTimeout(this.#patience)
    this.#desk.close()
    let how: Gone = 'lost'
    try {
      if (report.recording) this.#journal.event('recording', null, { duration_ms: report.recording.durationMs, lost_ms: report.recording.lostMs, dropped_ms: report.recording.droppedMs })
      if (!this.#lost) await this.#journal.settle()
      if (!this.#lost) how = await this.#end(report)
    } catch (error) {
      // The recovery ends it when the lease is over.
      this.#deps.log.error({ error, callId: this.facts.call.id }, 'a call could not be ended')
    } finally {
      this.#done.resolve(how)
    }
  }

  async #end(report: PhoneCallReport): Promise<Gone> {
    const { call, epoch } = this.facts
    const held = { callId: call.id, epoch }
    const ended = await this.#deps.db.system('calls', async (tx) => {
      const now = await calls.get(tx, call.id)
      const isHandedOver = this.#ending === null && now.wish !== null && calls.HANDOVERS.includes(now.wish)
      // Refused when the carrier has said meanwhile that the call is over.
      if (isHandedOver && (await calls.release(tx, held))) return null
      return calls.end(tx, { ...held, ...(this.#ending ?? endingOf(report, now)), at: new Date(this.#deps.clock.nowMs()), carrying: carryingPrice })
    })
    if (ended === null) return 'released'
    void this.#errand?.cancel()
    // Where nobody asks us what comes next the caller would hear nothing for ever.
    if (report.reason === 'closed' && !this.facts.carrier.can.socketEndsStep) void hangUpAtCarrier(this.#deps, call, this.facts.config)
    if (ended.outcome === 'ended') this.#deps.onCharged(call.tenantId)
    return ended.outcome === 'fenced' ? 'lost' : 'ended'
  }
}

const rounded = (times: object): Record<string, unknown> => Object.fromEntries(Object.entries(times).map(([name, value]) => [name, typeof value === 'number' ? Math.round(value) : value]))

/** The line tells that it is over, not always why: what was asked for meanwhile does. */
function endingOf({ reason }: PhoneCallReport, call: calls.Call): Ending {
  if (call.wish === 'hang_up') return { status: 'completed', reason: 'hung_up_by_api' }
  if (reason === 'stopped' || reason === 'hung_up') return { status: 'completed', reason: 'caller_hung_up' }
  return reason === 'closed' ? { status: 'completed', reason: 'line_lost' } : { status: 'failed', reason: 'carrier_failed' }
}
