import { setTimeout as delay } from 'node:timers/promises'
import type { Telnyx } from 'telnyx'
import type { ActionRejectParams, ActionSendDtmfParams, ActionSpeakParams, ActionTransferParams } from 'telnyx/resources/calls/actions'
import type { CallDialParams } from 'telnyx/resources/calls/calls'
import { AppError } from '@trunkline/core'
import type { CallState, CarrierClient, CarrierClientDeps, CarrierCommand, CarrierConfig, CommandContext, PlaceOutcome } from '../carriers/contract.ts'
import { createCarrierHttp } from '../carriers/http.ts'
import { DtmfDigits, type CallInstructionInput } from '../carriers/instructions.ts'
import { checked } from '../carriers/parsing.ts'
import { asOutcome, errorOf, isOpen, isOver, placeOutcomeOf, settledError, type Attempt } from '../carriers/policy.ts'
import { PlaceCall, Transfer, type PlaceCallInput, type TransferInput } from '../carriers/requests.ts'
import { id } from '../json.ts'
import { assignNumber, buyNumber, findNumber, searchNumbers } from './numbers.ts'
import { commandId, commandsFor, streamExtras, streamFields, targetState, transferFields } from './outbound.ts'
import { HANG_UP_POLICY, POLICY } from './policy.ts'
import { attempt, connectionOf, run, settingsOf, type Line } from './sdk.ts'
import { writeState } from './state.ts'
import * as texml from './texml-client.ts'
import { CallControlId } from './wire.ts'

/** The only I/O of this carrier: Call Control through Telnyx's SDK (TeXML calls: see texml-client). */

type Actions = Telnyx['calls']['actions']
type Act = (actions: Actions, callId: string, body: Record<string, unknown>) => Promise<unknown>

/** Our commands by the SDK's names. What they hold was typed where they were written (outbound). */
const ACTIONS = {
  answer: async (actions, callId, body) => actions.answer(callId, body),
  reject: async (actions, callId, body) => actions.reject(callId, body as unknown as ActionRejectParams),
  hangup: async (actions, callId, body) => actions.hangup(callId, body),
  speak: async (actions, callId, body) => actions.speak(callId, body as unknown as ActionSpeakParams),
  playback_start: async (actions, callId, body) => actions.startPlayback(callId, body),
  send_dtmf: async (actions, callId, body) => actions.sendDtmf(callId, body as unknown as ActionSendDtmfParams),
  transfer: async (actions, callId, body) => actions.transfer(callId, body as unknown as ActionTransferParams),
  streaming_start: async (actions, callId, body) => actions.startStreaming(callId, body),
} satisfies Record<string, Act>

const callOf = (callId: string): string => checked(CallControlId, callId, 'carrierCallId', 'not_found')

async function perform(line: Line, config: CarrierConfig, callId: string, commands: readonly CarrierCommand[], signal: AbortSignal): Promise<void> {
  callOf(callId)
  for (const { action, body } of commands) {
    const act: Act | undefined = Object.hasOwn(ACTIONS, action) ? ACTIONS[action as keyof typeof ACTIONS] : undefined
    if (!act) throw new AppError('invalid_request', { message: 'Telnyx has no such command.', param: 'commands' })
    await run(line, config, signal, (sdk) => act(sdk.calls.actions, callId, body))
  }
}

/** What runs now is stopped first. Nothing may be running: a refusal to stop is no fault, unless the call is over. */
async function stopAll(line: Line, config: CarrierConfig, callId: string, { key, reference }: CommandContext, signal: AbortSignal): Promise<void> {
  const body = (action: string) => ({ client_state: writeState({ ref: reference }), command_id: commandId(key, action) })
  const stops = [
    await attempt(line, config, signal, async (sdk) => sdk.calls.actions.stopStreaming(callId, body('streaming_stop'))),
    await attempt(line, config, signal, async (sdk) => sdk.calls.actions.stopPlayback(callId, { ...body('playback_stop'), stop: 'all' })),
  ]
  for (const stopped of stops) if (!stopped.ok && (isOver(stopped.refusal, HANG_UP_POLICY) || stopped.refusal.kind !== 'refused')) throw errorOf(stopped.refusal, POLICY)
}

async function redirect(line: Line, config: CarrierConfig, callId: string, instructions: CallInstructionInput[], context: CommandContext, signal: AbortSignal): Promise<void> {
  const settings = settingsOf(config)
  if (settings.mode === 'texml') return texml.update(line, config, callOf(callId), instructions, signal)
  const commands = commandsFor(instructions, { ...context, carrierCallId: callId, answered: true }, settings)
  await stopAll(line, config, callOf(callId), context, signal)
  await perform(line, config, callId, commands, signal)
}

/** What follows the answer: a stream begins with it, anything else is told when `call.answered` comes back with the plan. */
function firstStep(call: PlaceCall, config: CarrierConfig): Partial<CallDialParams> {
  const settings = settingsOf(config)
  const [first, ...rest] = call.instructions
  if (first?.do !== 'stream') return { client_state: writeState({ ref: call.reference, next: call.instructions, after: 'call.answered' }) }
  const then = rest.length > 0 ? { next: rest, after: 'streaming.stopped' as const } : {}
  return { ...streamFields(first, settings), ...streamExtras(first, settings), send_silence_when_idle: true, client_state: writeState({ ref: call.reference, ...then }) }
}

const DETECTION = { detect: 'detect', greeting_end: 'greeting_end' } as const

async function place(line: Line, config: CarrierConfig, input: PlaceCallInput, signal: AbortSignal): Promise<PlaceOutcome> {
  const call = checked(PlaceCall, input, '')
  const connection = connectionOf(config)
  if (settingsOf(config).mode === 'texml') return texml.place(line, config, call, signal)
  // Throws for a step that Telnyx cannot do, before the phone rings.
  commandsFor(call.instructions, { key: call.reference, carrierCallId: '', answered: true }, settingsOf(config))
  const body: CallDialParams = {
    connection_id: connection, to: call.to, from: call.from, timeout_secs: call.timeoutSeconds, webhook_url: call.statusUrl, command_id: commandId(call.reference, 'dial'),
    ...(call.timeLimitSeconds === undefined ? {} : { time_limit_secs: call.timeLimitSeconds }),
    ...(call.machineDetection === undefined ? {} : { answering_machine_detection: DETECTION[call.machineDetection] }),
    ...(call.sendDigits === undefined ? {} : { send_digits_on_answer: call.sendDigits }),
    ...firstStep(call, config),
  }
  const placed = await attempt(line, config, signal, async (sdk) => sdk.calls.dial(body))
  if (!placed.ok) return placeOutcomeOf(placed.refusal, POLICY)
  const callId = id(placed.value.data?.call_control_id, 255)
  return callId === undefined ? { status: 'unknown', reason: 'unreadable answer' } : { status: 'accepted', carrierCallId: callId }
}

async function hangUp(line: Line, config: CarrierConfig, callId: string, signal: AbortSignal): Promise<'ended' | 'already_over'> {
  const call = callOf(callId)
  if (settingsOf(config).mode === 'texml') return texml.hangUp(line, config, call, signal)
  const ended = await attempt(line, config, signal, async (sdk) => sdk.calls.actions.hangup(call, { command_id: commandId(call, 'hangup') }))
  if (ended.ok) return 'ended'
  if (isOver(ended.refusal, HANG_UP_POLICY)) return 'already_over'
  throw errorOf(ended.refusal, POLICY)
}

/** The stream ends first: what we still say must not be heard under the ringing. */
async function transfer(line: Line, config: CarrierConfig, callId: string, input: TransferInput, context: CommandContext, signal: AbortSignal): Promise<void> {
  const { resultUrl, ...target } = checked(Transfer, input, '')
  if (settingsOf(config).mode === 'texml') return texml.update(line, config, callOf(callId), [{ do: 'dial', ...target, resultUrl }], signal)
  await stopAll(line, config, callOf(callId), context, signal)
  const body: ActionTransferParams = { ...transferFields(target), ...targetState({ carrierCallId: callId, reference: context.reference }), client_state: writeState({ ref: context.reference }), command_id: commandId(context.key, 'transfer') }
  await insist((again) => attempt(line, config, again ?? signal, async (sdk) => sdk.calls.actions.transfer(callId, body)))
}

const [REPEAT_PAUSES_MS, REPEAT_TIMEOUT_MS] = [[500, 1_000], 3_000]

/** Telnyx carries out a command once, however often it comes under one `command_id`: what no answer came to is asked for again, and answered then. */
async function insist(ask: (again: AbortSignal | null) => Promise<Attempt<unknown>>): Promise<void> {
  let asked = await ask(null)
  const isRepeated = !asked.ok && isOpen(asked.refusal)
  for (const pauseMs of isRepeated ? REPEAT_PAUSES_MS : []) {
    if (asked.ok || !isOpen(asked.refusal)) break
    await delay(pauseMs)
    asked = await ask(AbortSignal.timeout(REPEAT_TIMEOUT_MS))
  }
  if (!asked.ok) throw isRepeated ? settledError(asked.refusal, POLICY, isOpen(asked.refusal) ? null : false) : errorOf(asked.refusal, POLICY)
}

async function bridge(line: Line, config: CarrierConfig, callId: string, otherCallId: string, context: CommandContext, signal: AbortSignal): Promise<void> {
  if (settingsOf(config).mode === 'texml') {
    const meeting: CallInstructionInput[] = [{ do: 'conference', name: `bridge-${commandId(callId, 'bridge')}` }]
    await texml.update(line, config, callOf(otherCallId), meeting, signal)
    return texml.update(line, config, callOf(callId), meeting, signal)
  }
  await stopAll(line, config, callOf(callId), context, signal)
  await stopAll(line, config, callOf(otherCallId), { key: `${context.key}-other` }, signal)
  const body = { call_control_id_to_bridge_with: otherCallId, client_state: writeState({ ref: context.reference }), command_id: commandId(context.key, 'bridge') }
  await insist((again) => attempt(line, config, again ?? signal, async (sdk) => sdk.calls.actions.bridge(callId, body)))
}

/** The stream runs on, and with it the plan that its state holds: this command writes none. TeXML has no such command, only a verb. */
async function sendDtmf(line: Line, config: CarrierConfig, callId: string, digits: string, then: CallInstructionInput[], { key }: CommandContext, signal: AbortSignal): Promise<void> {
  if (settingsOf(config).mode === 'texml') return texml.update(line, config, callOf(callId), [{ do: 'press', digits }, ...then], signal)
  const body = { digits: checked(DtmfDigits, digits, 'digits'), command_id: commandId(key, 'send_dtmf') }
  await perform(line, config, callId, [{ action: 'send_dtmf', body }], signal)
}

async function find(line: Line, config: CarrierConfig, callId: string, signal: AbortSignal): Promise<CallState | null> {
  const call = callOf(callId)
  if (settingsOf(config).mode === 'texml') return texml.find(line, config, call, signal)
  const found = await attempt(line, config, signal, async (sdk) => sdk.calls.retrieveStatus(call))
  if (found.ok) {
    const { data } = found.value
    const isAlive = data?.is_alive === true
    return { carrierCallId: call, isAlive, status: isAlive ? 'alive' : 'ended', durationSeconds: typeof data?.call_duration === 'number' ? data.call_duration : null }
  }
  const isUnknown = isOver(found.refusal, HANG_UP_POLICY) || (found.refusal.kind === 'refused' && found.refusal.status === 404)
  if (isUnknown) return null
  throw errorOf(found.refusal, POLICY)
}

/** One per process. */
export function client(deps: CarrierClientDeps): CarrierClient {
  const line: Line = { http: createCarrierHttp(deps.timeoutMs), deps }
  return {
    place: (config, call, signal) => asOutcome(() => place(line, config, call, signal)),
    perform: (config, callId, commands, signal) => perform(line, config, callId, commands, signal),
    redirect: (config, callId, instructions, context, signal) => redirect(line, config, callId, instructions, context, signal),
    hangUp: (config, callId, signal) => hangUp(line, config, callId, signal),
    transfer: (config, callId, to, context, signal) => transfer(line, config, callId, to, context, signal),
    bridge: (config, callId, other, context, signal) => bridge(line, config, callId, other, context, signal),
    sendDtmf: (config, callId, digits, then, context, signal) => sendDtmf(line, config, callId, digits, then, context, signal),
    find: (config, callId, signal) => find(line, config, callId, signal),
    searchNumbers: (config, search, signal) => searchNumbers(line, config, search, signal),
    buyNumber: (config, number, routing, signal) => buyNumber(line, config, number, routing, signal),
    findNumber: (config, number, signal) => findNumber(line, config, number, signal),
    assignNumber: (config, numberId, routing, signal) => assignNumber(line, config, numberId, routing, signal),
    releaseNumber: async (config, numberId, signal) => void (await run(line, config, signal, async (sdk) => sdk.phoneNumbers.delete(numberId))),
    check: async (config, signal) => void (await run(line, config, signal, async (sdk) => sdk.balance.retrieve())),
    close: () => line.http.close(),
  }
}
