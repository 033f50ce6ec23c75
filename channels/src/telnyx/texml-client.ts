import type { CallCallsParams } from 'telnyx/resources/texml/accounts/calls/calls'
import { AppError } from '@trunkline/core'
import type { CallState, CarrierConfig, PlaceOutcome } from '../carriers/contract.ts'
import type { CallInstructionInput } from '../carriers/instructions.ts'
import { errorOf, isOver, placeOutcomeOf, valueOf, type Refusal } from '../carriers/policy.ts'
import type { PlaceCall } from '../carriers/requests.ts'
import { id, record } from '../json.ts'
import { texml } from './outbound.ts'
import { HANG_UP_POLICY, POLICY } from './policy.ts'
import { attempt, run, settingsOf, type Line } from './sdk.ts'

/** Calls of a TeXML application: the same account, another REST interface, shaped like Twilio's. */

function accountOf(config: CarrierConfig): string {
  const { account_sid: account } = settingsOf(config)
  if (account === undefined) throw new AppError('invalid_request', { message: 'TeXML needs the id of the account.', param: 'settings.account_sid' })
  return account
}

/** Both spellings are seen: the interface copies Twilio's, the documents name their own. */
function callIdOf(answer: unknown): string | undefined {
  const body = record(answer)
  return id(body?.call_sid, 255) ?? id(body?.sid, 255) ?? id(record(body?.data)?.call_sid, 255)
}

function detection({ machineDetection, statusUrl }: PlaceCall): Partial<CallCallsParams.WithTeXml> {
  if (machineDetection === undefined) return {}
  return { MachineDetection: machineDetection === 'detect' ? 'Enable' : 'DetectMessageEnd', AsyncAmd: true, AsyncAmdStatusCallback: statusUrl, AsyncAmdStatusCallbackMethod: 'POST' }
}

export async function place(line: Line, config: CarrierConfig, call: PlaceCall, signal: AbortSignal): Promise<PlaceOutcome> {
  const [account, settings] = [accountOf(config), settingsOf(config)]
  // There is no field for keys to press once it is answered: they are its first instruction.
  const steps = call.sendDigits === undefined ? call.instructions : [{ do: 'press' as const, digits: call.sendDigits }, ...call.instructions]
  const body: CallCallsParams.WithTeXml = {
    ApplicationSid: settings.connection_id, To: call.to, From: call.from, Texml: texml(steps, settings), Timeout: call.timeoutSeconds,
    StatusCallback: call.statusUrl, StatusCallbackMethod: 'POST', StatusCallbackEvent: 'initiated ringing answered completed',
    ...(call.timeLimitSeconds === undefined ? {} : { TimeLimit: call.timeLimitSeconds }),
    ...detection(call),
  }
  const placed = await attempt(line, config, signal, async (sdk) => sdk.texml.accounts.calls.calls(account, { body }))
  if (!placed.ok) return placeOutcomeOf(placed.refusal, POLICY)
  const callId = callIdOf(placed.value)
  return callId === undefined ? { status: 'unknown', reason: 'unreadable answer' } : { status: 'accepted', carrierCallId: callId }
}

export async function update(line: Line, config: CarrierConfig, callId: string, instructions: readonly CallInstructionInput[], signal: AbortSignal): Promise<void> {
  const [account, document] = [accountOf(config), texml(instructions, settingsOf(config))]
  await run(line, config, signal, async (sdk) => sdk.texml.accounts.calls.update(callId, { account_sid: account, Texml: document }))
}

const isGone = (refusal: Refusal): boolean => isOver(refusal, HANG_UP_POLICY) || (refusal.kind === 'refused' && refusal.status === 404)

export async function hangUp(line: Line, config: CarrierConfig, callId: string, signal: AbortSignal): Promise<'ended' | 'already_over'> {
  const account = accountOf(config)
  const ended = await attempt(line, config, signal, async (sdk) => sdk.texml.accounts.calls.update(callId, { account_sid: account, Status: 'completed' }))
  if (ended.ok) return 'ended'
  if (isGone(ended.refusal)) return 'already_over'
  throw errorOf(ended.refusal, POLICY)
}

export async function find(line: Line, config: CarrierConfig, callId: string, signal: AbortSignal): Promise<CallState | null> {
  const account = accountOf(config)
  const found = await attempt(line, config, signal, async (sdk) => sdk.texml.accounts.calls.retrieve(callId, { account_sid: account }))
  if (!found.ok && isGone(found.refusal)) return null
  const { status = 'unknown', duration } = valueOf(found, POLICY)
  return { carrierCallId: callId, isAlive: status === 'ringing' || status === 'in-progress', status, durationSeconds: duration === undefined ? null : Number(duration) }
}
