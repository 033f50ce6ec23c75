import { AppError, formatCredits, Id, MicrosString, type Micros } from '@trunkline/core'
import { ledger } from '@trunkline/db'
import type { FastifyRequest } from 'fastify'
import { z } from 'zod'
import { audit } from '../audit.ts'
import type { ApiApp, ApiDeps } from '../deps.ts'
import { decodeIdCursor, OpaqueJson, pageOf, PageQuery, Time, toWire } from '../wire.ts'
import { wirePage } from './wire-schema.ts'

/** An amount on the wire: exact, and as people write it. */
export const Amount = z
  .object({ micros: MicrosString, credits: z.string() })
  .meta({ id: 'Amount', description: 'Credits. `micros` is exact: a whole number of millionths.', examples: [{ micros: '1250000', credits: '1.25' }] })
export const amount = (micros: Micros): z.infer<typeof Amount> => ({ micros: micros.toString(), credits: formatCredits(micros) })

const Standing = z
  .object({
    available: Amount.meta({ description: 'What new work may reserve. Below zero only when work cost more than was reserved.' }),
    held: Amount.meta({ description: 'Reserved for work under way' }),
    spent: Amount,
    funded: Amount,
    low_balance: Amount.nullable(),
    low: z.boolean().meta({ description: 'Available is below `low_balance`' }),
  })
  .meta({
    id: 'Credits',
    examples: [{ available: { micros: '18250000', credits: '18.25' }, held: { micros: '250000', credits: '0.25' }, spent: { micros: '1500000', credits: '1.5' }, funded: { micros: '20000000', credits: '20' }, low_balance: null, low: false }],
  })

const Entry = z.object({ account: z.enum(['funding', 'available', 'held', 'spent']), amount: Amount })
const TransferKind = z.enum(['topup', 'hold', 'settle', 'void', 'adjust'])
const Transfer = z
  .object({
    id: Id, kind: TransferKind, amount: Amount, hold_id: Id.nullable(), turn_id: Id.nullable(), message_id: Id.nullable(),
    memo: z.string(), details: OpaqueJson.nullable(), created_at: Time, entries: z.array(Entry).meta({ description: 'They sum to zero' }),
  })
  .meta({
    id: 'Transfer',
    examples: [{
      id: '0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b', kind: 'settle', amount: { micros: '7480', credits: '0.00748' }, hold_id: '0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5c',
      turn_id: '0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5d', message_id: null, memo: 'turn', created_at: '2026-11-20T09:30:00.000Z',
      details: { lines: [{ what: 'output_tokens', of: 'openai/gpt-5.4-mini', quantity: 551, per: 1_000_000, unit_micros: '4500000', amount_micros: '2480' }, { what: 'message', of: 'whatsapp', quantity: 1, per: 1, unit_micros: '5000', amount_micros: '5000' }] },
      entries: [{ account: 'held', amount: { micros: '-20000', credits: '-0.02' } }, { account: 'spent', amount: { micros: '7480', credits: '0.00748' } }, { account: 'available', amount: { micros: '12520', credits: '0.01252' } }],
    }],
  })
const HoldState = z.enum(['held', 'settled', 'voided', 'expired'])
const Hold = z
  .object({ id: Id, amount: Amount, state: HoldState, turn_id: Id.nullable(), expires_at: Time, created_at: Time, closed_at: Time.nullable() })
  .meta({
    id: 'Hold',
    examples: [{ id: '0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5c', amount: { micros: '20000', credits: '0.02' }, state: 'held', turn_id: '0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5d', expires_at: '2026-11-20T10:30:00.000Z', created_at: '2026-11-20T09:30:00.000Z', closed_at: null }],
  })

/** Fifteen digits are a billion credits: sums of any number of them stay far from the end of a 64-bit integer. */
const PositiveMicros = z.string().regex(/^[1-9]\d{0,14}$/, 'a whole number of micro-credits of at most 15 digits, as a string')
const TopUp = z.strictObject({ amount_micros: PositiveMicros, memo: z.string().trim().max(500).default('') }).meta({ examples: [{ amount_micros: '20000000', memo: 'Invoice 2026-113' }] })
const ToppedUp = z.object({ transfer_id: Id, added: Amount, available: Amount }).meta({ id: 'TopUp', examples: [{ transfer_id: '0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b', added: { micros: '20000000', credits: '20' }, available: { micros: '38250000', credits: '38.25' } }] })
const Settings = z
  .strictObject({ low_balance_micros: PositiveMicros.nullable().meta({ description: 'Null: no balance is low' }) })
  .meta({ examples: [{ low_balance_micros: '5000000' }] })

const TransferQuery = PageQuery.extend({ kind: TransferKind.optional(), turn_id: Id.optional(), from: Time.optional(), to: Time.optional() })
const HoldQuery = PageQuery.extend({ state: HoldState.optional(), turn_id: Id.optional() })

const tags = ['credits']
const read = { access: { scope: 'credits:read' } } as const
const write = { access: { scope: 'credits:write' } } as const

/** `/v1/credits`: the wallet of the caller's tenant. It belongs to the tenant: the key of any project sees the same one. */
export function registerCredits(app: ApiApp, deps: ApiDeps): void {
  const balances = ledger.createBalances(deps.db, deps.cache)
  registerStanding(app, deps, balances)
  registerTopUps(app, deps, balances)
  registerStatement(app, deps)
}

function registerStanding(app: ApiApp, { db }: ApiDeps, balances: ledger.Balances): void {
  app.get('/v1/credits', { config: read, schema: { tags, summary: 'Read the balance', response: { 200: Standing } } }, async ({ auth }) => standingView(await balances.read(auth.tenantId)))

  app.patch('/v1/credits', { config: write, schema: { tags, summary: 'Say from which balance on credit is low', body: Settings, response: { 200: Standing } } }, async (request) => {
    const { auth, body } = request
    await db.tenant(auth.tenantId, async (tx) => {
      await ledger.setLowBalance(tx, auth.tenantId, body.low_balance_micros === null ? null : BigInt(body.low_balance_micros))
      await audit(tx, request, { action: 'credits.updated', target: { kind: 'tenant', id: auth.tenantId }, changes: body })
    })
    await balances.changed([auth.tenantId])
    return standingView(await balances.read(auth.tenantId))
  })
}

const standingView = (now: ledger.Standing): z.infer<typeof Standing> => ({
  available: amount(now.availableMicros), held: amount(now.heldMicros), spent: amount(now.spentMicros), funded: amount(now.fundedMicros),
  low_balance: now.lowBalanceMicros === null ? null : amount(now.lowBalanceMicros), low: now.low,
})

function registerTopUps(app: ApiApp, { db }: ApiDeps, balances: ledger.Balances): void {
  const description = 'By hand: nothing is collected. Needs an `Idempotency-Key`; the ledger itself remembers it for ever, so that one key never adds twice. Takes effect at once.'
  app.post('/v1/credits/topups', { config: { ...write, idempotent: true }, schema: { tags, summary: 'Add credit', description, body: TopUp, response: { 201: ToppedUp } } }, async (request, reply) => {
    const { auth, body } = request
    const idempotencyKey = topUpKey(request)
    const amountMicros = BigInt(body.amount_micros)
    const done = await db.tenant(auth.tenantId, async (tx) => {
      const funded = await ledger.topUp(tx, { tenantId: auth.tenantId, amountMicros, idempotencyKey, memo: body.memo, actor: auth.actor })
      if (!funded.replayed) await audit(tx, request, { action: 'credits.topped_up', target: { kind: 'transfer', id: funded.transferId }, changes: body })
      return funded
    })
    await balances.changed([auth.tenantId])
    return reply.code(201).send({ transfer_id: done.transferId, added: amount(amountMicros), available: amount(done.availableMicros) })
  })
}

/** Like the keys of all POSTs it belongs to the project or the person that sends it. */
function topUpKey(request: FastifyRequest): string {
  const header = request.headers['idempotency-key']
  if (typeof header !== 'string' || header === '') throw new AppError('invalid_request', { message: 'A top-up needs an Idempotency-Key.', param: 'headers.idempotency-key' })
  return `topup:${request.auth.projectId ?? request.auth.actor.id}:${header}`
}

function registerStatement(app: ApiApp, { db }: ApiDeps): void {
  app.get('/v1/credits/transfers', { config: read, schema: { tags, summary: 'List transfers with their entries', querystring: TransferQuery, response: { 200: pageOf(Transfer) } } }, async ({ auth, query }) => {
    const filter = { kind: query.kind, turnId: query.turn_id, from: dateOf(query.from), to: dateOf(query.to) }
    const page = { limit: query.limit, before: decodeIdCursor(query.cursor) }
    return wirePage(await db.tenant(auth.tenantId, (tx) => ledger.listTransfers(tx, auth.tenantId, filter, page)), transferView)
  })

  app.get('/v1/credits/holds', { config: read, schema: { tags, summary: 'List holds', querystring: HoldQuery, response: { 200: pageOf(Hold) } } }, async ({ auth, query }) => {
    const page = { limit: query.limit, before: decodeIdCursor(query.cursor) }
    return wirePage(await db.tenant(auth.tenantId, (tx) => ledger.listHolds(tx, auth.tenantId, { state: query.state, turnId: query.turn_id }, page)), holdView)
  })
}

const dateOf = (time: string | undefined): Date | undefined => (time === undefined ? undefined : new Date(time))

function transferView({ amountMicros, entries, ...row }: ledger.Transfer): z.infer<typeof Transfer> {
  return { ...toWire(row), amount: amount(amountMicros), entries: entries.map((entry) => ({ account: entry.account, amount: amount(entry.amountMicros) })) }
}

const holdView = ({ amountMicros, ...row }: ledger.Hold): z.infer<typeof Hold> => ({ ...toWire(row), amount: amount(amountMicros) })
