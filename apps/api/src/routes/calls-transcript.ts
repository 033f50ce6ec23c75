import { Id, WordSpan } from '@trunkline/core'
import { calls, openJson, type Keyring, type Tx } from '@trunkline/db'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { z } from 'zod'
import type { ApiApp, ApiDeps } from '../deps.ts'
import { decodeCursor, encodeCursor, IdParams, pageOf, PageQuery } from '../wire.ts'
import { asSrt, asText, asVtt, type Line } from './calls-subtitles.ts'

/** Finds a call in the caller's project, or throws `not_found`. */
export type FindCall = (tx: Tx, request: FastifyRequest, id: Id) => Promise<calls.Call>

const ms = z.number().int().nonnegative()
const Word = z.object({
  text: z.string(),
  char_start: ms.meta({ description: 'Of the item’s text' }),
  char_end: ms,
  start_ms: ms.meta({ description: 'Of the call, as in its recording' }),
  end_ms: ms,
  confidence: z.number().nullable().meta({ description: 'Of the recogniser; null for the agent’s own words' }),
  estimated: z.boolean().meta({ description: 'Nobody measured it: the voice told no times, and the length of the words has to do' }),
})
const Utterance = z
  .object({
    id: Id.meta({ description: 'Of the message in the conversation' }),
    seq: z.number().int().meta({ description: 'Its place in the conversation' }),
    by: z.enum(['customer', 'agent']),
    text: z.string().meta({ description: 'Of the agent only what was heard' }),
    start_ms: ms.meta({ description: 'Of the call, as in its recording' }),
    end_ms: ms.meta({ description: 'Of what was cut off: where the caller heard it end' }),
    interrupted: z.boolean().meta({ description: 'The agent was cut off here' }),
    confidence: z.number().nullable().meta({ description: 'Of the recogniser, 0 to 1' }),
    words: z.array(Word).meta({ description: 'When each word was said: of the customer where the recogniser tells, of the agent those that were heard to their end. In order, without overlap, between `start_ms` and `end_ms`.' }),
  })
  .meta({
    id: 'CallUtterance',
    examples: [
      {
        id: '0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b', seq: 2, by: 'customer', text: 'When do you open?', start_ms: 2140, end_ms: 3020, interrupted: false, confidence: 0.97,
        words: [{ text: 'When', char_start: 0, char_end: 4, start_ms: 2140, end_ms: 2300, confidence: 0.98, estimated: false }],
      },
      {
        id: '0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5c', seq: 3, by: 'agent', text: 'At nine', start_ms: 3820, end_ms: 4510, interrupted: true, confidence: null,
        words: [
          { text: 'At', char_start: 0, char_end: 2, start_ms: 3830, end_ms: 4020, confidence: null, estimated: false },
          { text: 'nine', char_start: 3, char_end: 7, start_ms: 4020, end_ms: 4400, confidence: null, estimated: false },
        ],
      },
    ],
  })
type Utterance = z.infer<typeof Utterance>

const FORMATS = { text: { type: 'text/plain; charset=utf-8', write: asText }, srt: { type: 'application/x-subrip; charset=utf-8', write: asSrt }, vtt: { type: 'text/vtt; charset=utf-8', write: asVtt } } as const
const TranscriptQuery = PageQuery.extend({
  format: z.enum(['json', 'text', 'srt', 'vtt']).default('json').meta({ description: '`text`, `srt` and `vtt` (subtitles of the recording; what is long is cut at its words) give the whole call at once, whatever `limit` and `cursor` say' }),
})
const text = (example: string) => ({ schema: z.string().meta({ examples: [example] }) })
const Answer = {
  description: 'What was said',
  content: {
    'application/json': { schema: pageOf(Utterance) },
    'text/plain': text('[00:00:02] Customer: When do you open?\n'),
    'application/x-subrip': text('1\n00:00:02,140 --> 00:00:03,020\nCustomer: When do you open?\n\n'),
    'text/vtt': text('WEBVTT\n\n00:00:02.140 --> 00:00:03.020\n<v Customer>When do you open?\n\n'),
  },
}

/** A call of four hours has some thousands of rows. */
const WHOLE_PAGE = 1_000

/** `/v1/calls/{id}/transcript`: who said what, and when. */
export function registerCallTranscript(app: ApiApp, deps: ApiDeps, find: FindCall): void {
  const description = 'In the order it was kept; while the call runs, too.'
  const schema = { tags: ['calls'], summary: 'Read the transcript of a call', description, params: IdParams, querystring: TranscriptQuery, response: { 200: Answer } }
  app.get('/v1/calls/:id/transcript', { config: { access: { scope: 'calls:read' } }, schema }, async (request, reply) => {
    const { auth, params, query } = request
    const view = utteranceView(deps.keyring, auth.tenantId)
    if (query.format !== 'json') {
      const { tenantId } = await deps.db.tenant(auth.tenantId, (tx) => find(tx, request, params.id))
      return sendText(reply, query.format, await everything(deps, tenantId, params.id, view))
    }
    const after = decodeCursor(query.cursor, z.tuple([z.coerce.number().int().nonnegative()]))?.[0]
    const page = await deps.db.tenant(auth.tenantId, async (tx) => {
      await find(tx, request, params.id)
      return calls.transcript(tx, params.id, { limit: query.limit, after })
    })
    return reply.send({ data: page.items.map(view), has_more: page.next !== null, next_cursor: page.next === null ? null : encodeCursor(String(page.next)) })
  })
}

const sendText = (reply: FastifyReply, format: keyof typeof FORMATS, lines: Line[]): FastifyReply => reply.type(FORMATS[format].type).send(FORMATS[format].write(lines))

/** A short transaction for each page. */
async function everything(deps: ApiDeps, tenantId: Id, callId: Id, view: (row: calls.TranscriptRow) => Utterance): Promise<Utterance[]> {
  const all: Utterance[] = []
  for (let after: number | undefined; ; ) {
    const page = await deps.db.tenant(tenantId, (tx) => calls.transcript(tx, callId, { limit: WHOLE_PAGE, after }))
    all.push(...page.items.map(view))
    if (page.next === null) return all
    after = page.next
  }
}

/** As the journal of the call wrote it. */
const Details = z.object({ call: z.object({ start_ms: z.number(), end_ms: z.number(), interrupted: z.boolean(), confidence: z.number().nullable(), words: z.array(WordSpan) }) })
const Content = z.object({ text: z.string() })

const utteranceView = (keyring: Keyring, tenantId: Id) => (row: calls.TranscriptRow): Utterance => {
  const { text } = Content.parse(openJson(keyring, row.contentSealed, tenantId))
  const { words, start_ms, end_ms, ...said } = Details.parse(row.details).call
  return { id: row.id, seq: row.seq, by: row.author, text, start_ms: whole(start_ms), end_ms: whole(end_ms), ...said, words: words.map((word) => wordView(text, word)) }
}

const wordView = (text: string, { charStart, charEnd, startMs, endMs, confidence, estimated }: WordSpan): z.infer<typeof Word> => ({
  text: text.slice(charStart, charEnd), char_start: charStart, char_end: charEnd, start_ms: whole(startMs), end_ms: whole(endMs), confidence, estimated,
})

const whole = (value: number): number => Math.max(0, Math.round(value))
