import { type ChannelId, AppError, newId, type Id } from '@trunkline/core'
import { and, desc, eq, getTableColumns, isNull, lt, ne, type SQL } from 'drizzle-orm'
import { createLane } from '../queue/lanes.ts'
import { phoneNumbers } from '../tables/schema.ts'
import type { Tx } from '../tenancy.ts'
import { archiveNumber, type Archive } from './archives.ts'
import { type Page, type PageRequest, pageOf } from './page.ts'

export type OrderMode = 'number' | 'conversation'
export type NumberStatus = 'active' | 'stopped' | 'deleted'

/** A number without its secrets. */
export type PhoneNumber = {
  id: Id
  tenantId: Id
  projectId: Id
  channel: ChannelId
  address: string
  name: string
  status: NumberStatus
  stopReason: string | null
  settings: Record<string, unknown>
  orderMode: OrderMode
  windowSize: number
  coalesceMs: number
  headDeadlineMs: number
  createdAt: Date
  deletedAt: Date | null
}

const { credentialsSealed: _, ...columns } = getTableColumns(phoneNumbers)

export type NewNumber = Pick<PhoneNumber, 'projectId' | 'channel' | 'address' | 'name' | 'settings'> &
  Partial<Pick<PhoneNumber, 'id' | 'orderMode' | 'windowSize' | 'coalesceMs' | 'headDeadlineMs'>> & { tenantId: Id; credentialsSealed: Buffer }

/** A number with its lane. Throws AppError `conflict` when the tenant has this address on this channel already. */
export async function insert(tx: Tx, number: NewNumber): Promise<PhoneNumber> {
  const rows = await tx.orm
    .insert(phoneNumbers)
    .values({ ...number, id: number.id ?? newId() })
    .onConflictDoNothing()
    .returning(columns)
  if (rows.length === 0) throw new AppError('conflict', { message: 'This address is in use by another number of yours.', param: 'body.address' })
  await createLane(tx, number.tenantId, rows[0]!.id)
  return rows[0] as PhoneNumber
}

/** Why a number is stopped that is being bought. */
const PENDING = 'being bought'
export const isPending = ({ status, stopReason }: PhoneNumber): boolean => status === 'stopped' && stopReason === PENDING

/** A number that is about to be bought: stopped until it is (`resume`), or gone (`discard`). Throws as `insert` does. */
export async function insertPending(tx: Tx, number: NewNumber): Promise<PhoneNumber> {
  const { id } = await insert(tx, number)
  return change(tx, id, { status: 'stopped', stopReason: PENDING })
}

/** As if it had never been. Only for a number that nothing has happened on. */
export async function discard(tx: Tx, id: Id): Promise<void> {
  await tx.query('DELETE FROM lanes WHERE number_id = $1', [id])
  await tx.query('DELETE FROM phone_numbers WHERE id = $1', [id])
}

export type NumberFilter = { projectId?: Id | undefined; channel?: ChannelId | undefined; status?: 'active' | 'stopped' | undefined }

/** Deleted numbers are not listed. */
export async function list(tx: Tx, filter: NumberFilter, page: PageRequest): Promise<Page<PhoneNumber>> {
  const where: SQL[] = [isNull(phoneNumbers.deletedAt)]
  if (filter.projectId) where.push(eq(phoneNumbers.projectId, filter.projectId))
  if (filter.channel) where.push(eq(phoneNumbers.channel, filter.channel))
  if (filter.status) where.push(eq(phoneNumbers.status, filter.status))
  if (page.before) where.push(lt(phoneNumbers.id, page.before))
  const rows = await tx.orm.select(columns).from(phoneNumbers).where(and(...where)).orderBy(desc(phoneNumbers.id)).limit(page.limit + 1)
  return pageOf(rows as PhoneNumber[], page.limit)
}

/** Throws AppError `not_found` for an unknown or deleted number. */
export async function get(tx: Tx, id: Id): Promise<PhoneNumber> {
  const rows = await tx.orm.select(columns).from(phoneNumbers).where(and(eq(phoneNumbers.id, id), isNull(phoneNumbers.deletedAt)))
  return (rows[0] as PhoneNumber | undefined) ?? missing()
}

/** The live number with this address, or null. */
export async function findByAddress(tx: Tx, channel: ChannelId, address: string): Promise<Id | null> {
  const rows = await tx.orm
    .select({ id: phoneNumbers.id })
    .from(phoneNumbers)
    .where(and(eq(phoneNumbers.channel, channel), eq(phoneNumbers.address, address), isNull(phoneNumbers.deletedAt)))
  return rows[0]?.id ?? null
}

export async function sealedCredentials(tx: Tx, id: Id): Promise<Buffer> {
  const rows = await tx.orm.select({ sealed: phoneNumbers.credentialsSealed }).from(phoneNumbers).where(eq(phoneNumbers.id, id))
  return rows[0]?.sealed ?? missing()
}

export type NumberPatch = Partial<Pick<PhoneNumber, 'name' | 'settings' | 'orderMode' | 'windowSize' | 'coalesceMs' | 'headDeadlineMs'>> & { credentialsSealed?: Buffer | undefined }

export async function update(tx: Tx, id: Id, patch: NumberPatch): Promise<PhoneNumber> {
  return change(tx, id, patch)
}

/** Nothing is sent from a stopped number and nothing answered: what customers write is kept, parked with the reason, and can be answered again by hand. */
export async function stop(tx: Tx, id: Id, reason: string): Promise<PhoneNumber> {
  return change(tx, id, { status: 'stopped', stopReason: reason })
}

export async function resume(tx: Tx, id: Id): Promise<PhoneNumber> {
  return change(tx, id, { status: 'active', stopReason: null })
}

type Columns = Partial<typeof phoneNumbers.$inferInsert>

async function change(tx: Tx, id: Id, values: Columns): Promise<PhoneNumber> {
  const given = Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined))
  if (Object.keys(given).length === 0) return get(tx, id)
  const rows = await tx.orm.update(phoneNumbers).set(given).where(and(eq(phoneNumbers.id, id), isNull(phoneNumbers.deletedAt))).returning(columns)
  return (rows[0] as PhoneNumber | undefined) ?? missing()
}

/**
 * Holds the number's binding still until commit. The number's row makes relinks and deletions wait for each other; the
 * lane's row makes workers wait, who hold it shared while they open turns: a conversation is begun wholly before this
 * (and archived with the others) or wholly after it (by a worker that then finds its agent ended).
 */
export async function lockBinding(tx: Tx, id: Id): Promise<PhoneNumber> {
  const rows = await tx.orm
    .select(columns)
    .from(phoneNumbers)
    .where(and(eq(phoneNumbers.id, id), ne(phoneNumbers.status, 'deleted')))
    .for('no key update')
  if (rows.length === 0) missing()
  await tx.query('SELECT 1 FROM lanes WHERE number_id = $1 FOR UPDATE', [id])
  return rows[0] as PhoneNumber
}

/** Ends the agent, archives every conversation and deletes the number, or does none of it. */
export async function remove(tx: Tx, id: Id, actor: string): Promise<{ number: PhoneNumber; archive: Archive }> {
  const number = await lockBinding(tx, id)
  const ended = await tx.query<{ id: Id; prompt_id: Id }>('UPDATE agents SET ended_at = now() WHERE number_id = $1 AND ended_at IS NULL RETURNING id, prompt_id', [id])
  const agent = ended.rows[0]
  const archive = await archiveNumber(tx, {
    tenantId: number.tenantId,
    numberId: id,
    agentId: agent?.id ?? null,
    promptId: agent?.prompt_id ?? null,
    reason: 'number_deleted',
    archivedBy: actor,
  })
  const rows = await tx.orm.update(phoneNumbers).set({ status: 'deleted', stopReason: null, deletedAt: new Date() }).where(eq(phoneNumbers.id, id)).returning(columns)
  return { number: rows[0] as PhoneNumber, archive }
}

function missing(): never {
  throw new AppError('not_found', { message: 'There is no such number.' })
}
