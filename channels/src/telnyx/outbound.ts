import { createHash } from 'node:crypto'
import type { ActionAnswerParams, ActionHangupParams, ActionRejectParams, ActionSendDtmfParams, ActionSpeakParams, ActionStartPlaybackParams, ActionStartStreamingParams, ActionTransferParams } from 'telnyx/resources/calls/actions'
import { AppError } from '@trunkline/core'
import type { Answer, AnswerContext, CarrierCommand, CarrierConfig } from '../carriers/contract.ts'
import type { CallInstruction, CallInstructionInput } from '../carriers/instructions.ts'
import { response, type Dialect } from '../carriers/markup.ts'
import { checked, parseInstructions } from '../carriers/parsing.ts'
import { document } from '../carriers/xml.ts'
import { writeState, type State } from './state.ts'
import { Settings } from './wire.ts'

/** Instructions as Call Control commands, one at a time: the rest waits in `client_state` and comes back as `call.next`. Or as TeXML. */

type Step<Kind extends CallInstruction['do']> = Extract<CallInstruction, { do: Kind }>

/** Fields that `answer`, `dial` and `streaming_start` have in common. */
type StreamFields = Pick<ActionStartStreamingParams & ActionAnswerParams, 'stream_url' | 'stream_track' | 'stream_codec' | 'stream_bidirectional_mode' | 'stream_bidirectional_codec' | 'stream_bidirectional_target_legs'>

/** `mp3` is Telnyx's default mode and useless for a conversation. `self`: the leg that is streamed hears us. */
export function streamFields(step: Step<'stream'>, settings: Settings): StreamFields {
  return {
    stream_url: step.url,
    stream_track: 'inbound_track',
    stream_codec: settings.outbound_codec,
    stream_bidirectional_mode: 'rtp',
    stream_bidirectional_codec: settings.outbound_codec,
    stream_bidirectional_target_legs: 'self',
  }
}

/** What `answer` has no field for (telnyx SDK 7.24.0, ActionAnswerParams); `streaming_start` and `dial` have. */
export function streamExtras(step: Step<'stream'>, settings: Settings): Pick<ActionStartStreamingParams, 'stream_bidirectional_sampling_rate' | 'stream_auth_token' | 'custom_parameters'> {
  const parameters = Object.entries(step.parameters ?? {}).map(([name, value]) => ({ name, value }))
  return {
    ...(settings.outbound_sample_rate === 8_000 ? {} : { stream_bidirectional_sampling_rate: settings.outbound_sample_rate }),
    ...(step.authToken === undefined ? {} : { stream_auth_token: step.authToken }),
    ...(parameters.length === 0 ? {} : { custom_parameters: parameters }),
  }
}

/** The same command under the same key is the same command: Telnyx then carries it out once. */
export const commandId = (key: string, action: string): string => createHash('sha256').update(`${key}\n${action}`).digest('hex').slice(0, 32)

/** The event that tells that a step is done. */
const DONE: Readonly<Partial<Record<CallInstruction['do'], NonNullable<State['after']>>>> = { stream: 'streaming.stopped', say: 'call.speak.ended', pause: 'call.speak.ended', play: 'call.playback.ended' }

/** `at`: which command of this answer it is. */
type Plan = { context: AnswerContext; settings: Settings; at: number }
type Then = Pick<State, 'next' | 'after'>

/** The SDK's own types say what each command takes. */
type Bodies = {
  answer: ActionAnswerParams
  hangup: ActionHangupParams
  playback_start: ActionStartPlaybackParams
  reject: ActionRejectParams
  send_dtmf: ActionSendDtmfParams
  speak: ActionSpeakParams
  streaming_start: ActionStartStreamingParams
  transfer: ActionTransferParams
}

function command<Name extends keyof Bodies>(action: Name, body: Bodies[Name], { context, at }: Plan, then: Then = {}): CarrierCommand {
  const plan = then.next && then.next.length > 0 ? then : {}
  return { action, body: { ...body, client_state: writeState({ ref: context.reference, ...plan }), command_id: commandId(`${context.key}#${at}`, action) } }
}

const unable = (what: string): AppError => new AppError('invalid_request', { message: `Telnyx cannot ${what} by command; use TeXML.`, param: 'instructions' })

/** SSML holds a break of 10 s at most (Amazon Polly, the voice behind `premium`). */
function silence(seconds: number): string {
  const breaks = [...Array.from({ length: Math.floor(seconds / 10) }, () => 10), seconds % 10].filter((length) => length > 0)
  return `<speak>${breaks.map((length) => `<break time="${length}s"/>`).join('')}</speak>`
}

function commandFor(step: CallInstruction, plan: Plan, rest: readonly CallInstruction[]): CarrierCommand {
  const { settings } = plan
  const then: Then = { next: [...rest], after: DONE[step.do] }
  switch (step.do) {
    case 'stream':
      return command('streaming_start', { ...streamFields(step, settings), ...streamExtras(step, settings) }, plan, then)
    case 'say':
      return command('speak', { payload: step.text, voice: step.voice ?? settings.voice, ...(step.language === undefined ? {} : { language: step.language as ActionSpeakParams['language'] }) }, plan, then)
    case 'pause':
      return command('speak', { payload: silence(step.seconds), payload_type: 'ssml', voice: settings.voice }, plan, then)
    case 'play':
      return command('playback_start', { audio_url: step.url, loop: step.times }, plan, then)
    case 'press':
      return command('send_dtmf', { digits: step.digits }, plan)
    case 'dial':
      return command('transfer', { ...transferFields(step), ...targetState(plan.context) }, plan)
    case 'hang_up':
      return command('hangup', {}, plan)
    case 'reject':
      return command('reject', { cause: step.reason === 'busy' ? 'USER_BUSY' : 'CALL_REJECTED' }, plan)
    case 'redirect':
      throw unable('fetch instructions from an address')
    case 'conference':
      throw unable('open a conference')
  }
}

/** The new leg tells whose transfer it is, so that its fate is news of the first one. */
export const targetState = ({ carrierCallId, reference }: Pick<AnswerContext, 'carrierCallId' | 'reference'>) => ({ target_leg_client_state: writeState({ ref: reference, of: carrierCallId }) })

export function transferFields({ to, from, timeoutSeconds, timeLimitSeconds }: Pick<Step<'dial'>, 'to' | 'from' | 'timeoutSeconds' | 'timeLimitSeconds'>) {
  return { to, ...(from === undefined ? {} : { from }), timeout_secs: timeoutSeconds, ...(timeLimitSeconds === undefined ? {} : { time_limit_secs: timeLimitSeconds }) }
}

/** Steps that need no answered call. */
const REFUSALS: ReadonlySet<CallInstruction['do']> = new Set(['reject', 'hang_up'])

/** A stream can begin with the answer itself, which spares a round trip, when `answer` has a field for all that it needs. */
function answerCommand(steps: readonly CallInstruction[], plan: Plan): CarrierCommand {
  const [first, ...rest] = steps
  const isDirect = first?.do === 'stream' && Object.keys(streamExtras(first, plan.settings)).length === 0
  if (isDirect) return command('answer', { ...streamFields(first, plan.settings), send_silence_when_idle: true }, plan, { next: rest, after: 'streaming.stopped' })
  return command('answer', { send_silence_when_idle: true }, plan, { next: [...steps], after: 'call.answered' })
}

/** Up to the first step that takes time: digits are pressed at once and no event tells that they were. */
function runCommands(steps: readonly CallInstruction[], plan: Plan): CarrierCommand[] {
  const commands: CarrierCommand[] = []
  for (const [at, step] of steps.entries()) {
    commands.push(commandFor(step, { ...plan, at }, steps.slice(at + 1)))
    if (step.do !== 'press') break
  }
  return commands
}

function texmlOf(settings: Settings): Dialect {
  const rate = settings.outbound_sample_rate === 8_000 ? {} : { bidirectionalSamplingRate: settings.outbound_sample_rate }
  return { stream: { track: 'inbound_track', codec: settings.outbound_codec, bidirectionalMode: 'rtp', bidirectionalCodec: settings.outbound_codec, ...rate }, dial: {} }
}

export function texml(instructions: readonly CallInstructionInput[], settings: Settings): string {
  return document(response(parseInstructions(instructions), texmlOf(settings)))
}

export function commandsFor(instructions: readonly CallInstructionInput[], context: AnswerContext, settings: Settings): CarrierCommand[] {
  const [steps, plan] = [parseInstructions(instructions), { context, settings, at: 0 }]
  // All of them, so that a step that cannot be done is refused now and not in the middle of the call.
  for (const step of steps) commandFor(step, plan, [])
  return context.answered || REFUSALS.has(steps[0]!.do) ? runCommands(steps, plan) : [answerCommand(steps, plan)]
}

export function answer(instructions: readonly CallInstructionInput[], context: AnswerContext, config: CarrierConfig): Answer {
  const settings = checked(Settings, config.settings, 'settings')
  if (settings.mode === 'texml') return { document: { contentType: 'text/xml; charset=utf-8', body: texml(instructions, settings) }, commands: [] }
  return { document: null, commands: commandsFor(instructions, context, settings) }
}
