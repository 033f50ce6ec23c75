import { createHmac, timingSafeEqual } from 'node:crypto'
import fastify from 'fastify'
import { Redis } from 'ioredis'
import pg from 'pg'
import { CREDENTIALS } from '../stage/numbers.ts'
import { serveJobs } from '../stage/actor.ts'

/** What somebody writes in an afternoon: Fastify, the same HMAC over the raw bytes, one write per request, then 200. */
export type BaselineJob = { keep: 'insert' | 'xadd'; databaseUrl: string; redisUrl: string }

type Webhook = { entry: { changes: { value: { metadata: { phone_number_id: string }; messages: { id: string }[] } }[] }[] }

// Unique by the supplier's id, as every inbox must be; the key is written with the row, as in ours.
const TABLE = 'CREATE TABLE IF NOT EXISTS bench_inbox (id bigserial PRIMARY KEY, number text NOT NULL, provider_message_id text NOT NULL, payload bytea NOT NULL, received_at timestamptz NOT NULL DEFAULT now(), UNIQUE (number, provider_message_id))'
const INSERT = { name: 'keep', text: 'INSERT INTO bench_inbox (number, provider_message_id, payload) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING' }
/** As many connections as the API's own pool. */
const CONNECTIONS = 10

async function keeperOf({ keep, databaseUrl, redisUrl }: BaselineJob): Promise<(number: string, id: string, body: Buffer) => Promise<unknown>> {
  if (keep === 'xadd') {
    const redis = new Redis(redisUrl, { enableAutoPipelining: true })
    return (number, id, body) => redis.xadd('bench:inbox', '*', 'number', number, 'id', id, 'body', body)
  }
  const pool = new pg.Pool({ connectionString: databaseUrl, max: CONNECTIONS })
  await pool.query(TABLE)
  return (number, id, body) => pool.query({ ...INSERT, values: [number, id, body] })
}

serveJobs<BaselineJob>(async (job) => {
  const keep = await keeperOf(job)
  const app = fastify({ logger: false })
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'buffer', bodyLimit: 3 * 1024 * 1024 }, (_request, body, done) => done(null, body))
  app.post('/webhooks/whatsapp/:numberId', async (request, reply) => {
    const body = request.body as Buffer
    const given = Buffer.from(String(request.headers['x-hub-signature-256']))
    const right = Buffer.from(`sha256=${createHmac('sha256', CREDENTIALS.app_secret).update(body).digest('hex')}`)
    if (given.length !== right.length || !timingSafeEqual(given, right)) return reply.code(401).send()
    const { metadata, messages } = (JSON.parse(body.toString('utf8')) as Webhook).entry[0]!.changes[0]!.value
    await keep(metadata.phone_number_id, messages[0]!.id, body)
    return { ok: true }
  })
  return app.listen({ host: '127.0.0.1', port: 0 })
})
