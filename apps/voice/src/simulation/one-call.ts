import { createGoalCaller, intelligibility, judge, type TurnDeps, type TurnResult } from '@trunkline/agents'
import { FIRST_HOLD_MINUTES, holdForCall } from '@trunkline/billing'
import { AppError, modelsOf, newId, SIMULATED_BY, SIMULATED_CALL_SECONDS_MAX, VoiceSettings, type Clock, type EndedBy, type Id, type Logger, type SimulatedCall, type SimulatedCaller, type Simulation } from '@trunkline/core'
import { calls, openJson, type Db, type Keyring, type RoutedNumber } from '@trunkline/db'
import { createNoise, type SpeechFor, type SpeechHouse } from '@trunkline/media'
import { z } from 'zod'
import type { Calls } from '../calls/calls.ts'
import type { LiveCall } from '../calls/live-call.ts'
import { Caller, SETTLE_MS, type FailedStep } from './caller.ts'
import { CallerEar } from './ear.ts'
import type { Metronome } from './metronome.ts'
import { SimulatedPhone } from './phone.ts'
import { createCallerVoice, VOICE_RMS } from './voice.ts'

export type OneCallDeps = TurnDeps & { db: Db; keyring: Keyring; clock: Clock; log: Logger; speech: Pick<SpeechHouse, 'forTenant'>; calls: Pick<Calls, 'join'>; metronome: Metronome; tenantCallsMax: number }
export type OneCall = { simulationId: Id; spec: Simulation; number: RoutedNumber; caller: number; repetition: number; signal: AbortSignal }

const BUSY_TRIES = 5
const BUSY_PAUSE_MS = 3_000

/** One simulated caller rings, talks and is judged. Never throws for what the call did: that is its result. */
export async function runOneCall(deps: OneCallDeps, one: OneCall): Promise<SimulatedCall> {
  const speech = await deps.speech.forTenant(one.number.tenantId)
  if (!speech.stt([])) throw new AppError('unavailable', { message: 'No recogniser of speech is set up: nobody could listen to the agent.' })
  const opened = await openPatiently(deps, one)
  if (opened.endedAt) return resultOf(deps, one, opened, NOBODY)
  const talk = await talkTo({ ...deps, speech }, one, opened)
  const over = await deps.db.tenant(one.number.tenantId, (tx) => calls.get(tx, opened.id))
  return resultOf(deps, one, over, talk)
}

type Talk = { ear: Pick<CallerEar, 'responsesMs' | 'interruptions' | 'everything'>; failedStep: FailedStep | null; endedBy: 'caller' | 'agent' | null; answers: TurnResult[]; durationMs: number }
const NOBODY: Talk = { ear: { responsesMs: [], interruptions: [], everything: '' }, failedStep: null, endedBy: null, answers: [], durationMs: 0 }

const callerOf = ({ spec, caller }: OneCall): SimulatedCaller => spec.callers[caller]!
/** Another noise and other lost packets in each call, the same ones each time. */
const seedOf = ({ spec, caller, repetition }: OneCall): number => spec.seed * 1_000_003 + caller * 1_009 + repetition

// ── The row ───────────────────────────────────────────────────────────────────────────────────────────────────────────
/** A number that has all the calls it may have is rung again: customers come first. */
async function openPatiently(deps: OneCallDeps, one: OneCall): Promise<calls.Call> {
  for (let attempt = 1; ; attempt++) {
    const call = await open(deps, one)
    if (call.status !== 'busy' || attempt === BUSY_TRIES || one.signal.aborted) return call
    await new Promise((resolve) => setTimeout(resolve, BUSY_PAUSE_MS))
  }
}

async function open({ db, clock, tenantCallsMax }: OneCallDeps, { simulationId, number, caller, repetition, spec }: OneCall): Promise<calls.Call> {
  const settings = VoiceSettings.parse(number.settings)
  const callId = newId()
  const content = number.agent?.content
  const models = content ? modelsOf(content) : []
  const { call } = await db.system('calls', (tx) =>
    calls.open(tx, {
      callId, tenantId: number.tenantId, numberId: number.id, direction: 'inbound', carrier: settings.carrier, carrierCallId: `simulation:${callId}`, from: 'simulation', to: number.address,
      contact: { identity: { kind: 'sip', value: `${SIMULATED_BY}${callId}` }, name: spec.callers[caller]!.name ?? 'Simulated caller' },
      holdMicros: holdForCall({ atMs: clock.nowMs(), carrier: settings.carrier, direction: 'inbound', minutes: FIRST_HOLD_MINUTES, models }), holdUntil: new Date(clock.nowMs() + (SIMULATED_CALL_SECONDS_MAX + 3_600) * 1_000),
      limits: { number: settings.concurrency_limit, tenant: tenantCallsMax },
      placedBy: `${SIMULATED_BY}${simulationId}`, metadata: { simulation: simulationId, caller, repetition }, options: { max_duration_seconds: Math.min(settings.max_duration_seconds, SIMULATED_CALL_SECONDS_MAX) },
    }))
  return call
}

// ── The talk ──────────────────────────────────────────────────────────────────────────────────────────────────────────
async function talkTo(deps: Omit<OneCallDeps, 'speech'> & { speech: SpeechFor }, one: OneCall, call: calls.Call): Promise<Talk> {
  const { noise, packet_loss: packetLoss, jitter_ms: jitterMs, voice: wish } = callerOf(one)
  const gone = new AbortController()
  const answers: TurnResult[] = []
  let endedBy: Talk['endedBy'] = null
  let live: LiveCall | null = null
  const stt = deps.speech.stt([], { onUsage: (speech) => live?.alsoUsed({ speech }) })!
  const stop = new AbortController()
  const ear = new CallerEar(stt, VoiceSettings.parse(one.number.settings).voice.language, stop.signal)
  const phone = new SimulatedPhone({
    callId: call.id, metronome: deps.metronome, way: { packetLoss, jitterMs, seed: seedOf(one) },
    noise: noise && createNoise({ kind: noise.kind, sampleRateHz: 8_000, rms: VOICE_RMS / 10 ** (noise.snr_db / 20), seed: seedOf(one) }),
    events: {
      heard(pcm, callerSounds) {
        ear.frame(pcm, callerSounds)
        caller.tick()
      },
      ended(by) {
        endedBy ??= by
        ear.close()
        gone.abort()
      },
    },
  })
  const caller: Caller = new Caller({ phone, ear, voice: createCallerVoice(deps.speech, wish, (speech) => live?.alsoUsed({ speech })), signal: gone.signal })
  const joined = await deps.calls.join(call.id, one.number, {
    socket: phone.socket,
    onAnswer: (result) => answers.push(result),
    async hangUp() {
      endedBy ??= 'agent'
      await ear.settle(SETTLE_MS)
    },
  })
  if (!joined) {
    ear.close()
    return NOBODY
  }
  live = joined.call
  const hurry = () => joined.call.hangUp({ status: 'completed', reason: 'cancelled' })
  one.signal.addEventListener('abort', hurry, { once: true })
  if (one.signal.aborted) hurry()
  phone.answer()
  const failedStep = await act(deps, one, call, caller, joined.call)
  await joined.gone
  one.signal.removeEventListener('abort', hurry)
  stop.abort()
  return { ear, failedStep, endedBy, answers, durationMs: phone.nowMs }
}

function act(deps: Omit<OneCallDeps, 'speech'>, one: OneCall, call: calls.Call, caller: Caller, live: LiveCall): Promise<FailedStep | null> {
  const { script, goal } = callerOf(one)
  if (script) return caller.play(script)
  const { vendor, model, fallback } = one.number.agent!.content
  const place = { tenantId: call.tenantId, conversationId: newId(), goal: goal!, model: { vendor, model, ...(fallback ? { fallback } : {}) } }
  return caller.pursue(createGoalCaller(place, { vendors: deps.vendors, tools: deps.tools, clock: deps.clock, log: deps.log, breakers: deps.breakers, onUsage: (usage) => live.alsoUsed({ model: usage }) }))
}

// ── The result ────────────────────────────────────────────────────────────────────────────────────────────────────────
const TRANSCRIPT_MAX = 500
const EVENTS_MAX = 500

async function resultOf(deps: OneCallDeps, one: OneCall, call: calls.Call, talk: Talk): Promise<SimulatedCall> {
  const { transcript, waterfall } = await whatWasKept(deps, call)
  const answers = [...talk.ear.responsesMs].toSorted((a, b) => a - b)
  const evidence = {
    ended_by: endedByOf(call, talk), reason: call.endReason, turns: talk.ear.responsesMs.length, transcript, listened: talk.ear.everything,
    response: { p50_ms: percentile(answers, 0.5), p95_ms: percentile(answers, 0.95), each_ms: talk.ear.responsesMs },
    interruptions: talk.ear.interruptions.map(({ atMs, silentAfterMs }) => ({ at_ms: atMs, silent_after_ms: silentAfterMs })),
    tools: talk.answers.flatMap(({ toolCalls }) => toolCalls.map(({ name }) => name)),
  }
  const assertions = judge(one.spec.assertions, evidence)
  const passed = talk.failedStep === null && talk.endedBy !== null && assertions.every((verdict) => verdict.passed)
  return {
    ...evidence, caller: one.caller, repetition: one.repetition, call_id: call.id, duration_ms: talk.durationMs, intelligibility: intelligibility(evidence), waterfall,
    failed_step: talk.failedStep, assertions, passed, recording_key: call.recording.key,
  }
}

const Said = z.object({ text: z.string() })
const Times = z.object({ call: z.object({ start_ms: z.number(), end_ms: z.number(), interrupted: z.boolean() }) })
const Turn = z.object({ turn: z.number(), speechEndMs: z.number(), endpointMs: z.number(), firstTokenMs: z.number().nullable(), firstAudioMs: z.number().nullable(), firstSentMs: z.number().nullable(), firstHeardMs: z.number().nullable() })

async function whatWasKept({ db, keyring }: OneCallDeps, call: calls.Call): Promise<Pick<SimulatedCall, 'transcript' | 'waterfall'>> {
  const { items, turns } = await db.tenant(call.tenantId, async (tx) => ({
    items: (await calls.transcript(tx, call.id, { limit: TRANSCRIPT_MAX })).items,
    turns: await calls.events(tx, call.id, { kind: 'turn', limit: EVENTS_MAX }),
  }))
  const transcript = items.map((row) => {
    const { start_ms, end_ms, interrupted } = Times.parse(row.details).call
    return { by: row.author, text: Said.parse(openJson(keyring, row.contentSealed, call.tenantId)).text, start_ms: Math.max(0, start_ms), end_ms: Math.max(0, end_ms), interrupted }
  })
  const waterfall = turns.map(({ data }) => Turn.parse(data)).map(({ turn, speechEndMs, endpointMs, firstTokenMs, firstAudioMs, firstSentMs, firstHeardMs }) => ({
    turn, speech_end_ms: speechEndMs, endpoint_ms: endpointMs, first_token_ms: firstTokenMs, first_audio_ms: firstAudioMs, first_sent_ms: firstSentMs, first_heard_ms: firstHeardMs,
  }))
  return { transcript: transcript.toSorted((a, b) => a.start_ms - b.start_ms), waterfall }
}

function endedByOf(call: calls.Call, { endedBy, answers }: Talk): EndedBy {
  if (answers.at(-1)?.effects.some(({ type }) => type === 'handover')) return 'transfer'
  if (call.endReason === 'silence' || call.endReason === 'max_duration') return call.endReason
  return call.status === 'completed' && endedBy !== null ? endedBy : 'failure'
}

/** By rank: the value that so many are not above. Null: there is none. */
function percentile(sorted: readonly number[], part: number): number | null {
  return sorted.length === 0 ? null : sorted[Math.max(0, Math.ceil(part * sorted.length) - 1)]!
}
