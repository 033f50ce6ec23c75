import { AppError, Id } from '@trunkline/core'
import { usage } from '@trunkline/db'
import { z } from 'zod'
import type { ApiApp, ApiDeps } from '../deps.ts'
import { Time, toWire } from '../wire.ts'
import { projectFilter } from './caller.ts'
import { Amount, amount } from './credits.ts'

const DAY_MS = 86_400_000
const DEFAULT_DAYS = 30
const MOST_DAYS = 366

const Count = z.number().int().nonnegative()
const totals = { calls: Count, failed_calls: Count, input_tokens: Count, cached_input_tokens: Count.meta({ description: 'Part of `input_tokens`' }), output_tokens: Count, audio_ms: Count.meta({ description: 'Sound that engines of speech heard or made' }), characters: Count.meta({ description: 'Characters that they spoke' }), cost: Amount.meta({ description: "The work of models and of engines of speech; nothing for those with a key of your own. Channel fees and minutes of calls are in the ledger." }) }
const group = (dimension: string) => z.string().nullable().optional().meta({ description: `When grouped by ${dimension}` })
const groups = { day: group('day (UTC)'), vendor: group('vendor'), model: group('model'), purpose: group('purpose: what a model was asked for, `stt` or `tts`'), own_key: group('own_key: `true` where the tenant pays the vendor itself'), project: group('project'), number: group('number') }
const report = <Extra extends z.ZodRawShape>(extra: Extra) =>
  z.object({ from: Time, to: Time, totals: z.object(totals), data: z.array(z.object({ ...groups, ...extra, ...totals })), truncated: z.boolean().meta({ description: 'There are more groups than `limit`' }) })

const example = { calls: 12, failed_calls: 0, input_tokens: 9_300, cached_input_tokens: 2_048, output_tokens: 1_210, audio_ms: 0, characters: 0, cost: { micros: '12345', credits: '0.012345' } }
const Report = report({}).meta({
  id: 'Usage',
  examples: [{ from: '2026-11-01T00:00:00.000Z', to: '2026-11-21T00:00:00.000Z', totals: example, data: [{ day: '2026-11-20', model: 'gpt-5.4-mini', ...example }], truncated: false }],
})
const AdminReport = report({ tenant: group('tenant') }).meta({ id: 'AdminUsage' })

/** `group_by=day,model`: any of the dimensions, each once. */
const groupBy = <Dimension extends usage.UsageDimension>(allowed: readonly [Dimension, ...Dimension[]]) =>
  z
    .string()
    .max(128)
    .default('day')
    .transform((text) => text.split(',').filter((part) => part !== ''))
    .pipe(z.array(z.enum(allowed)).refine((parts) => new Set(parts).size === parts.length, 'Each dimension once.'))
    .meta({ description: `Comma-separated: ${allowed.join(', ')}`, examples: ['day,model'] })

const filters = {
  from: Time.optional().meta({ description: `Default: ${DEFAULT_DAYS} days before \`to\`` }),
  to: Time.optional().meta({ description: 'Exclusive. Default: now' }),
  project_id: Id.optional(),
  number_id: Id.optional(),
  vendor: z.string().min(1).max(64).optional(),
  model: z.string().min(1).max(128).optional(),
  limit: z.coerce.number().int().min(1).max(1_000).default(1_000).meta({ description: 'Groups at most' }),
}
const DIMENSIONS = ['day', 'vendor', 'model', 'purpose', 'own_key', 'project', 'number'] as const
const UsageQuery = z.object({ ...filters, group_by: groupBy(DIMENSIONS) })
const AdminQuery = z.object({ ...filters, tenant_id: Id.optional(), group_by: groupBy([...DIMENSIONS, 'tenant']) })

const tags = ['usage']

/** What models and engines of speech used. `/v1/usage` is the caller's own tenant (or project), `/v1/admin/usage` every tenant. */
export function registerUsage(app: ApiApp, { db, clock }: ApiDeps): void {
  app.get('/v1/usage', { config: { access: { scope: 'usage:read' } }, schema: { tags, summary: 'What models and speech used, and its cost', querystring: UsageQuery, response: { 200: Report } } }, async ({ auth, query }) => {
    const filter = { ...filterOf(query, clock.nowMs()), tenantId: auth.tenantId, projectId: projectFilter(auth, query.project_id) }
    return view(filter, await db.tenant(auth.tenantId, (tx) => usage.aggregate(tx, filter, query.group_by, query.limit)))
  })

  const summary = 'What models and speech used, and its cost, all tenants'
  app.get('/v1/admin/usage', { config: { access: { scope: 'usage:read', platformAdmin: true } }, schema: { tags, summary, querystring: AdminQuery, response: { 200: AdminReport } } }, async ({ query }) => {
    const filter = { ...filterOf(query, clock.nowMs()), tenantId: query.tenant_id, projectId: query.project_id }
    return view(filter, await db.system('platform-admin', (tx) => usage.aggregate(tx, filter, query.group_by, query.limit)))
  })
}

function filterOf(query: { from?: string; to?: string; number_id?: Id; vendor?: string; model?: string }, nowMs: number): usage.UsageFilter {
  const toMs = query.to === undefined ? nowMs : Date.parse(query.to)
  const fromMs = query.from === undefined ? toMs - DEFAULT_DAYS * DAY_MS : Date.parse(query.from)
  if (fromMs >= toMs) throw new AppError('invalid_request', { message: '`from` must be before `to`.', param: 'query.from' })
  if (toMs - fromMs > MOST_DAYS * DAY_MS) throw new AppError('invalid_request', { message: `At most ${MOST_DAYS} days at once.`, param: 'query.from' })
  return { from: new Date(fromMs), to: new Date(toMs), numberId: query.number_id, vendor: query.vendor, model: query.model }
}

function view(filter: usage.UsageFilter, found: Awaited<ReturnType<typeof usage.aggregate>>) {
  return {
    from: filter.from.toISOString(),
    to: filter.to.toISOString(),
    totals: totalsView(found.totals),
    data: found.rows.map(({ by, ...sums }) => ({ ...by, ...totalsView(sums) })),
    truncated: found.truncated,
  }
}

const totalsView = ({ costMicros, ...counts }: usage.UsageTotals) => ({ ...toWire(counts), cost: amount(costMicros) })
