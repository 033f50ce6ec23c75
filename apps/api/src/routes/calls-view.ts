import { CallDirection, CallEndReason, CallStatus, CarrierId, Id, RecordingState, type Clock } from '@trunkline/core'
import { openJson, type calls, type Keyring } from '@trunkline/db'
import { z } from 'zod'
import type { ApiConfig } from '../config.ts'
import { OpaqueJson, Time } from '../wire.ts'
import { Amount, amount } from './credits.ts'

const part = (what: string) => Amount.meta({ description: what })
const Cost = z.object({
  carrier: part('Carrying the call, by the started second'),
  stt: part('Recognising speech'),
  tts: part('Speaking'),
  model: part('Thinking'),
  total: Amount,
})
const Recording = z.object({
  state: RecordingState.meta({ description: '`none`: not recorded. `recording`: it runs, or is on its way into the store.' }),
  url: z.url().nullable().meta({ description: 'Where it can be fetched, with your credentials; null unless `stored`' }),
  duration_ms: z.number().int().nullable(),
  size_bytes: z.number().int().nullable(),
})

export const CallView = z
  .object({
    id: Id,
    project_id: Id,
    number_id: Id,
    agent_id: Id.nullable(),
    prompt_id: Id.nullable(),
    prompt_version: z.number().int().nullable(),
    contact_id: Id.nullable().meta({ description: 'Null for a call that was refused' }),
    conversation_id: Id.nullable().meta({ description: 'What was said is here, as messages. Null for a call that was refused.' }),
    direction: CallDirection,
    carrier: CarrierId,
    carrier_call_id: z.string().nullable().meta({ description: 'Null until the carrier has named it' }),
    from: z.string().meta({ description: 'E.164, a SIP address, or `anonymous`' }),
    to: z.string(),
    status: CallStatus,
    reason: CallEndReason.nullable().meta({ description: 'Why it is over, or was never taken; null while it lives' }),
    reason_detail: z.string().nullable().meta({ description: "The carrier's own word" }),
    placed_by: z.string().meta({ description: '`carrier`: it came in. Else who placed it: `user:<id>`, `api_key:<id>`.' }),
    started_at: Time.meta({ description: 'The first ring, or the request to place it' }),
    answered_at: Time.nullable(),
    ended_at: Time.nullable(),
    duration_seconds: z.number().int().nullable().meta({ description: 'From the answer on, started seconds; grows while the call runs. Null: nobody took it.' }),
    cost: Cost.nullable().meta({ description: 'Null while the call runs: it is charged when it ends' }),
    recording: Recording,
    summary: z.string().nullable(),
    metadata: OpaqueJson,
  })
  .meta({
    id: 'Call',
    examples: [
      {
        id: '0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b', project_id: '0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a50', number_id: '0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a51', agent_id: '0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a52',
        prompt_id: '0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a53', prompt_version: 3, contact_id: '0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a54', conversation_id: '0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a55',
        direction: 'outbound', carrier: 'twilio', carrier_call_id: 'CA00000000000000000000000000000000', from: '+4722334455', to: '+4799887766', status: 'completed', reason: 'caller_hung_up', reason_detail: null,
        placed_by: 'api_key:0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a56', started_at: '2026-11-20T09:30:00.000Z', answered_at: '2026-11-20T09:30:06.000Z', ended_at: '2026-11-20T09:31:48.000Z', duration_seconds: 102,
        cost: { carrier: { micros: '23800', credits: '0.0238' }, stt: { micros: '13090', credits: '0.01309' }, tts: { micros: '6210', credits: '0.00621' }, model: { micros: '4120', credits: '0.00412' }, total: { micros: '47220', credits: '0.04722' } },
        recording: { state: 'stored', url: 'https://api.example.com/v1/calls/0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b/recording', duration_ms: 102000, size_bytes: 3264044 },
        summary: null, metadata: { order: '1044' },
      },
    ],
  })

export type CallViewDeps = { keyring: Keyring; clock: Pick<Clock, 'nowMs'>; config: Pick<ApiConfig, 'publicUrl'> }

export const callView = (deps: CallViewDeps) => (call: calls.Call): z.infer<typeof CallView> => ({
  id: call.id, project_id: call.projectId, number_id: call.numberId, agent_id: call.agentId, prompt_id: call.promptId, prompt_version: call.promptVersion,
  contact_id: call.contactId, conversation_id: call.conversationId, direction: call.direction, carrier: call.carrier, carrier_call_id: call.carrierCallId,
  from: call.from, to: call.to, status: call.status, reason: call.endReason, reason_detail: call.endDetail, placed_by: call.placedBy,
  started_at: call.createdAt.toISOString(), answered_at: call.answeredAt?.toISOString() ?? null, ended_at: call.endedAt?.toISOString() ?? null,
  duration_seconds: secondsOf(call, deps.clock.nowMs()),
  cost: call.endedAt ? costOf(call.cost) : null,
  recording: {
    state: call.recording.state, duration_ms: call.recording.durationMs, size_bytes: call.recording.sizeBytes,
    url: call.recording.state === 'stored' ? `${deps.config.publicUrl}/v1/calls/${call.id}/recording` : null,
  },
  summary: call.summarySealed && Summary.parse(openJson(deps.keyring, call.summarySealed, call.tenantId)).text,
  metadata: call.metadata,
})

/** As workers seal summaries of conversations, too. */
const Summary = z.object({ text: z.string() })

function secondsOf({ answeredAt, endedAt }: calls.Call, nowMs: number): number | null {
  return answeredAt && Math.max(0, Math.ceil(((endedAt?.getTime() ?? nowMs) - answeredAt.getTime()) / 1_000))
}

function costOf(cost: calls.Call['cost']): z.infer<typeof Cost> {
  const { carrier, stt, tts, model } = cost
  return { carrier: amount(carrier), stt: amount(stt), tts: amount(tts), model: amount(model), total: amount(carrier + stt + tts + model) }
}
