import { CallEventKind, type Id } from '@trunkline/core'
import { calls, openJson, type Keyring } from '@trunkline/db'
import { z } from 'zod'
import type { ApiApp, ApiDeps } from '../deps.ts'
import { decodeCursor, encodeCursor, IdParams, pageOf, PageQuery, Time, toWire } from '../wire.ts'
import type { FindCall } from './calls-transcript.ts'

const at = (what: string) => z.number().int().nullable().meta({ description: what })
const wait = (what: string) => z.number().int().nullable().meta({ description: what })
const Turn = z
  .object({
    turn: z.number().int(),
    speech_end_ms: z.number().int().meta({ description: 'The outside person fell silent' }),
    endpoint_ms: at('It was certain that they had finished'),
    first_token_ms: at('The first word of the model'),
    first_audio_ms: at('The first sound of the voice'),
    first_sent_ms: at('The first frame on the line'),
    first_heard_ms: at('The carrier says that it was played'),
    waits: z.object({
      endpoint_ms: wait('From the end of speech until that was certain'),
      model_ms: wait('From there to the first word'),
      voice_ms: wait('From there to the first sound'),
      send_ms: wait('From there to the first frame'),
      play_ms: wait('From there to the first frame that was heard'),
      total_ms: wait('From the end of speech to the first frame that was heard'),
    }),
  })
  .meta({ id: 'CallTurn', description: 'Where the time of one answer went. Times are milliseconds of the call, null for what did not happen.' })
const Event = z
  .object({
    id: z.number().int(),
    kind: CallEventKind,
    at_ms: z.number().int().nullable().meta({ description: 'Milliseconds of the call; null for what happened outside of it' }),
    turn: Turn.nullable().meta({ description: 'Of kind `turn`' }),
    data: z.record(z.string(), z.unknown()).meta({ description: 'Of all other kinds. Of `note`: `text`, which the agent was told and the caller did not hear, and `by`: `note` (written) or `whisper` (said)' }),
    created_at: Time,
  })
  .meta({
    id: 'CallEvent',
    examples: [
      {
        id: 4711, kind: 'turn', at_ms: 3020, data: {}, created_at: '2026-11-20T09:30:10.000Z',
        turn: { turn: 1, speech_end_ms: 3020, endpoint_ms: 3340, first_token_ms: 3610, first_audio_ms: 3790, first_sent_ms: 3800, first_heard_ms: 3840, waits: { endpoint_ms: 320, model_ms: 270, voice_ms: 180, send_ms: 10, play_ms: 40, total_ms: 820 } },
      },
      { id: 4712, kind: 'note', at_ms: 14_200, turn: null, data: { by: 'whisper', text: 'Offer her the loan bike.' }, created_at: '2026-11-20T09:30:21.000Z' },
      { id: 4714, kind: 'status', at_ms: null, turn: null, data: { status: 'completed', reason: 'caller_hung_up' }, created_at: '2026-11-20T09:31:48.000Z' },
    ],
  })
const EventsQuery = PageQuery.extend({ kind: CallEventKind.optional() })

/** `/v1/calls/{id}/events`: what happened in a call, and where the time of its answers went. */
export function registerCallEvents(app: ApiApp, deps: ApiDeps, find: FindCall): void {
  const description = 'Oldest first: the waterfall of each turn, interruptions, incidents, keys, transfers, what the agent was told, and how the call stood.'
  const schema = { tags: ['calls'], summary: 'Read what happened in a call', description, params: IdParams, querystring: EventsQuery, response: { 200: pageOf(Event) } }
  app.get('/v1/calls/:id/events', { config: { access: { scope: 'calls:read' } }, schema }, async (request) => {
    const { auth, params, query } = request
    const after = decodeCursor(query.cursor, z.tuple([z.coerce.number().int().nonnegative()]))?.[0]
    const rows = await deps.db.tenant(auth.tenantId, async (tx) => {
      await find(tx, request, params.id)
      return calls.events(tx, params.id, { kind: query.kind, limit: query.limit + 1, after })
    })
    const items = rows.slice(0, query.limit)
    const next = rows.length > query.limit ? encodeCursor(String(items.at(-1)!.id)) : null
    return { data: items.map((item) => eventView(deps.keyring, auth.tenantId, item)), has_more: next !== null, next_cursor: next }
  })
}

function eventView(keyring: Keyring, tenantId: Id, { id, kind, atMs, data, createdAt }: calls.StoredCallEvent): z.infer<typeof Event> {
  const isTurn = kind === 'turn'
  return { id, kind, at_ms: atMs, turn: isTurn ? turnView(Times.parse(data)) : null, data: isTurn ? {} : kind === 'note' ? noteView(keyring, tenantId, data) : toWire(data), created_at: createdAt.toISOString() }
}

/** What was told to the agent is kept as what was said is: sealed. */
function noteView(keyring: Keyring, tenantId: Id, data: Record<string, unknown>): { by: string; text: string } {
  const { by, sealed } = Note.parse(data)
  return { by, text: Told.parse(openJson(keyring, Buffer.from(sealed, 'base64'), tenantId)).text }
}

const Note = z.object({ by: z.string(), sealed: z.string() })
const Told = z.object({ text: z.string() })

const time = z.number().nullable().transform((value) => (value === null ? null : Math.round(value)))
/** As the pipeline of the call measured it. */
const Times = z.object({ turn: z.number().int(), speechEndMs: z.number().transform(Math.round), endpointMs: time, firstTokenMs: time, firstAudioMs: time, firstSentMs: time, firstHeardMs: time })

function turnView(times: z.infer<typeof Times>): z.infer<typeof Turn> {
  const { speechEndMs, endpointMs, firstTokenMs, firstAudioMs, firstSentMs, firstHeardMs } = times
  const between = (from: number | null, to: number | null) => (from === null || to === null ? null : to - from)
  return {
    turn: times.turn, speech_end_ms: speechEndMs, endpoint_ms: endpointMs, first_token_ms: firstTokenMs, first_audio_ms: firstAudioMs, first_sent_ms: firstSentMs, first_heard_ms: firstHeardMs,
    waits: {
      endpoint_ms: between(speechEndMs, endpointMs), model_ms: between(endpointMs, firstTokenMs), voice_ms: between(firstTokenMs, firstAudioMs), send_ms: between(firstAudioMs, firstSentMs),
      play_ms: between(firstSentMs, firstHeardMs), total_ms: between(speechEndMs, firstHeardMs),
    },
  }
}
