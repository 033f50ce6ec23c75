import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import { parseOr400 } from '../control/input.ts'
import type { JournalFilter } from './entry.ts'
import { matches, toWire } from './entry.ts'
import type { Journal } from './journal.ts'

const Filter = z.object({
  target: z.string().max(128).optional(),
  number: z.string().max(255).optional(),
  phone_number_id: z.string().max(255).optional(),
  to: z.string().max(2048).optional(),
  id: z.string().max(512).optional(),
  outcome: z.enum(['accepted', 'refused', 'fault']).optional(),
  callback_data: z.string().max(1000).optional(),
  after: z.coerce.number().int().min(0).optional(),
})
const Query = Filter.extend({ limit: z.coerce.number().int().min(1).max(10_000).default(100), order: z.enum(['oldest', 'newest']).default('oldest') })
const Wait = Filter.extend({ count: z.coerce.number().int().min(1).max(100_000).default(1), timeout_ms: z.coerce.number().int().min(0).max(60_000).default(10_000) })

function filterOf(query: z.infer<typeof Filter>): JournalFilter {
  return {
    target: query.target,
    number: query.number ?? query.phone_number_id,
    to: query.to,
    id: query.id,
    outcome: query.outcome,
    callbackData: query.callback_data,
    after: query.after,
  }
}

/** `GET /sandbox/journal`, its long poll, and the order and duplicate views that tests need. */
export function journalRoutes(app: FastifyInstance, journal: Journal): void {
  app.get('/sandbox/journal', (request) => {
    const query = parseOr400(Query, request.query, 'query')
    const filter = filterOf(query)
    const found = query.order === 'newest' ? journal.latest(filter, query.limit) : journal.query(filter, query.limit)
    return { data: found.map(toWire), last_seq: journal.lastSeq }
  })
  app.get('/sandbox/journal/wait', async (request, reply) => {
    const query = parseOr400(Wait, request.query, 'query')
    const filter = filterOf(query)
    try {
      const found = await journal.waitForCount((entry) => matches(entry, filter), query.count, query.timeout_ms, query.after)
      return { data: found.map(toWire), last_seq: journal.lastSeq }
    } catch (error) {
      return reply.code(408).send({ error: { message: (error as Error).message } })
    }
  })
  app.get('/sandbox/journal/count', (request) => ({ count: journal.count(filterOf(parseOr400(Filter, request.query, 'query'))) }))
  app.get('/sandbox/journal/duplicates', (request) => {
    const groups = journal.duplicates(filterOf(parseOr400(Filter, request.query, 'query')))
    return { data: [...groups].map(([callback_data, entries]) => ({ callback_data, ids: entries.map((entry) => entry.id) })) }
  })
  app.delete('/sandbox/journal', (_request, reply) => {
    journal.reset()
    return reply.code(204).send()
  })
}
