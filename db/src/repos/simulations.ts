import { AppError, type Id, type SimulationStatus } from '@trunkline/core'
import { and, desc, eq, getTableColumns, lt, sql, type SQL } from 'drizzle-orm'
import { storableJson } from '../storable.ts'
import { simulations } from '../tables/schema.ts'
import type { Tx } from '../tenancy.ts'
import { type Page, type PageRequest, pageOf } from './page.ts'

/** A simulation as it is kept. `spec` is core's `Simulation`; parsing it is the reader's. */
export type KeptSimulation = {
  id: Id
  tenantId: Id
  projectId: Id
  numberId: Id
  agentId: Id
  spec: unknown
  status: SimulationStatus
  /** Null until all calls are over. */
  passed: boolean | null
  failure: string | null
  callsTotal: number
  callsDone: number
  createdBy: string
  createdAt: Date
  startedAt: Date | null
  endedAt: Date | null
}

export type NewSimulation = Pick<KeptSimulation, 'id' | 'tenantId' | 'projectId' | 'numberId' | 'agentId' | 'callsTotal' | 'createdBy'> & { spec: object }

/** A simulation that this process runs. A write under an older epoch changes nothing. */
export type HeldSimulation = { id: Id; epoch: number }

export async function insert(tx: Tx, { spec, ...simulation }: NewSimulation): Promise<KeptSimulation> {
  await tx.orm.insert(simulations).values({ ...simulation, spec: JSON.parse(storableJson(spec)) as object })
  return get(tx, simulation.id)
}

const { resultsSealed: _results, epoch: _epoch, leaseOwner: _owner, leaseUntil: _until, ...shown } = getTableColumns(simulations)
const columns = { ...shown, callsDone: sql<number>`cardinality(${simulations.resultsSealed})`.mapWith(Number) }
const rowOf = (row: Omit<KeptSimulation, 'status'> & { status: string }): KeptSimulation => row as KeptSimulation

/** Throws AppError `not_found`. */
export async function get(tx: Tx, id: Id): Promise<KeptSimulation> {
  const [row] = await tx.orm.select(columns).from(simulations).where(eq(simulations.id, id))
  if (!row) throw new AppError('not_found', { message: 'There is no such simulation.' })
  return rowOf(row)
}

export type SimulationFilter = { projectId?: Id | undefined; agentId?: Id | undefined; status?: SimulationStatus | undefined }

export async function list(tx: Tx, filter: SimulationFilter, page: PageRequest): Promise<Page<KeptSimulation>> {
  const where: SQL[] = []
  if (filter.projectId) where.push(eq(simulations.projectId, filter.projectId))
  if (filter.agentId) where.push(eq(simulations.agentId, filter.agentId))
  if (filter.status) where.push(eq(simulations.status, filter.status))
  if (page.before) where.push(lt(simulations.id, page.before))
  const rows = await tx.orm.select(columns).from(simulations).where(and(...where)).orderBy(desc(simulations.id)).limit(page.limit + 1)
  return pageOf(rows.map(rowOf), page.limit)
}

/** One a call, in the order in which they ended. */
export async function results(tx: Tx, id: Id): Promise<Buffer[]> {
  const { rows } = await tx.query<{ results_sealed: Buffer[] }>('SELECT results_sealed FROM simulations WHERE id = $1', [id])
  return rows[0]?.results_sealed ?? []
}

/** How many are not over. */
export async function open(tx: Tx): Promise<number> {
  const { rows } = await tx.query<{ count: number }>('SELECT count(*)::int AS count FROM simulations WHERE ended_at IS NULL')
  return rows[0]!.count
}

/** Takes what waits, and what a process has left behind: oldest first. */
export async function claim(tx: Tx, owner: string, leaseMs: number, limit: number): Promise<(HeldSimulation & { tenantId: Id })[]> {
  if (limit <= 0) return []
  const { rows } = await tx.query<{ id: Id; tenant_id: Id; epoch: number }>(
    `UPDATE simulations SET status = 'running', epoch = epoch + 1, lease_owner = $1, lease_until = now() + make_interval(secs => $2::float8 / 1000), started_at = coalesce(started_at, now())
     WHERE id IN (SELECT id FROM simulations WHERE ended_at IS NULL AND (lease_until IS NULL OR lease_until < now()) ORDER BY created_at LIMIT $3 FOR UPDATE SKIP LOCKED) RETURNING id, tenant_id, epoch`,
    [owner, leaseMs, limit],
    'simulations_claim',
  )
  return rows.map(({ id, tenant_id: tenantId, epoch }) => ({ id, tenantId, epoch }))
}

/** Renews the leases of a process. Those that are not among the answers were cancelled, or belong to somebody else. */
export async function keep(tx: Tx, held: readonly HeldSimulation[], leaseMs: number): Promise<Set<Id>> {
  if (held.length === 0) return new Set()
  const { rows } = await tx.query<{ id: Id }>(
    `UPDATE simulations s SET lease_until = now() + make_interval(secs => $3::float8 / 1000)
     FROM unnest($1::uuid[], $2::int[]) AS i (id, epoch) WHERE s.id = i.id AND s.epoch = i.epoch AND s.ended_at IS NULL RETURNING s.id`,
    [held.map(({ id }) => id), held.map(({ epoch }) => epoch), leaseMs],
    'simulations_keep',
  )
  return new Set(rows.map(({ id }) => id))
}

/** Another call is over. False: it is not this process's any more. */
export async function addResult(tx: Tx, { id, epoch }: HeldSimulation, resultSealed: Buffer): Promise<boolean> {
  const { rowCount } = await tx.query('UPDATE simulations SET results_sealed = results_sealed || $3::bytea WHERE id = $1 AND epoch = $2 AND ended_at IS NULL', [id, epoch, resultSealed], 'simulations_result')
  return rowCount === 1
}

/** Gives it back before its end: another process goes on. */
export async function release(tx: Tx, { id, epoch }: HeldSimulation): Promise<void> {
  await tx.query('UPDATE simulations SET lease_owner = NULL, lease_until = NULL WHERE id = $1 AND epoch = $2 AND ended_at IS NULL', [id, epoch], 'simulations_release')
}

export type SimulationEnd = { status: 'completed'; passed: boolean } | { status: 'failed'; failure: string }

export async function end(tx: Tx, { id, epoch }: HeldSimulation, how: SimulationEnd): Promise<boolean> {
  const [passed, failure] = how.status === 'completed' ? [how.passed, null] : [false, how.failure]
  const { rowCount } = await tx.query(
    'UPDATE simulations SET status = $3, passed = $4, failure = $5, ended_at = now(), lease_owner = NULL, lease_until = NULL WHERE id = $1 AND epoch = $2 AND ended_at IS NULL',
    [id, epoch, how.status, passed, failure],
    'simulations_end',
  )
  return rowCount === 1
}

/** What runs is hung up when its process hears of it. False: it was over. */
export async function cancel(tx: Tx, id: Id): Promise<boolean> {
  const { rowCount } = await tx.query("UPDATE simulations SET status = 'cancelled', ended_at = now(), lease_owner = NULL, lease_until = NULL WHERE id = $1 AND ended_at IS NULL", [id], 'simulations_cancel')
  return rowCount === 1
}
