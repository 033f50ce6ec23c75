import { AppError, newId, type Id, type PromptContent } from '@trunkline/core'
import { and, desc, eq, isNotNull, isNull, lt, type SQL } from 'drizzle-orm'
import { prompts, promptVersions } from '../tables/schema.ts'
import type { Tx } from '../tenancy.ts'
import { type Page, type PageRequest, pageOf } from './page.ts'

export type Prompt = { id: Id; tenantId: Id; projectId: Id; name: string; currentVersion: number; archivedAt: Date | null; createdAt: Date; updatedAt: Date }

/** One state of a prompt, for ever: the database refuses to change or delete it. */
export type PromptVersion = { id: Id; tenantId: Id; promptId: Id; version: number; content: PromptContent; note: string; createdBy: string; createdAt: Date }

export type NewPrompt = { tenantId: Id; projectId: Id; name: string; content: PromptContent; note?: string | undefined; createdBy: string }

/** A prompt with its version 1. */
export async function insert(tx: Tx, prompt: NewPrompt): Promise<{ prompt: Prompt; version: PromptVersion }> {
  const id = newId()
  const rows = await tx.orm.insert(prompts).values({ id, tenantId: prompt.tenantId, projectId: prompt.projectId, name: prompt.name }).returning()
  const version = await insertVersion(tx, { ...prompt, promptId: id, version: 1 })
  return { prompt: rows[0]!, version }
}

type NewVersion = { tenantId: Id; promptId: Id; version: number; content: PromptContent; note?: string | undefined; createdBy: string }

async function insertVersion(tx: Tx, version: NewVersion): Promise<PromptVersion> {
  const { tenantId, promptId, content, note = '', createdBy } = version
  const rows = await tx.orm.insert(promptVersions).values({ id: newId(), tenantId, promptId, version: version.version, content, note, createdBy }).returning()
  return rows[0] as PromptVersion
}

export type PromptFilter = { projectId?: Id | undefined; archived?: boolean | undefined }

/** Archived prompts only when asked for. */
export async function list(tx: Tx, filter: PromptFilter, page: PageRequest): Promise<Page<Prompt>> {
  const where: SQL[] = [filter.archived ? isNotNull(prompts.archivedAt) : isNull(prompts.archivedAt)]
  if (filter.projectId) where.push(eq(prompts.projectId, filter.projectId))
  if (page.before) where.push(lt(prompts.id, page.before))
  const rows = await tx.orm.select().from(prompts).where(and(...where)).orderBy(desc(prompts.id)).limit(page.limit + 1)
  return pageOf(rows, page.limit)
}

/** Throws AppError `not_found`. */
export async function get(tx: Tx, id: Id): Promise<Prompt> {
  const rows = await tx.orm.select().from(prompts).where(eq(prompts.id, id))
  return rows[0] ?? missing()
}

/**
 * The next version, current from now on. `basedOn` is the version its author saw: if another came between, AppError
 * `conflict`, so that nobody overwrites what they have not read. Throws `invalid_state` for an archived prompt.
 */
export async function addVersion(
  tx: Tx,
  id: Id,
  version: { content: PromptContent; note?: string | undefined; createdBy: string; basedOn?: number | undefined },
): Promise<{ prompt: Prompt; version: PromptVersion }> {
  const prompt = await lock(tx, id)
  if (prompt.archivedAt) throw new AppError('invalid_state', { message: 'This prompt is archived.' })
  if (version.basedOn !== undefined && version.basedOn !== prompt.currentVersion) {
    throw new AppError('conflict', { message: `The current version is ${prompt.currentVersion}.`, param: 'body.based_on', details: { current_version: prompt.currentVersion } })
  }
  const number = prompt.currentVersion + 1
  const added = await insertVersion(tx, { ...version, tenantId: prompt.tenantId, promptId: id, version: number })
  return { prompt: await change(tx, id, { currentVersion: number }), version: added }
}

async function lock(tx: Tx, id: Id): Promise<Prompt> {
  const rows = await tx.orm.select().from(prompts).where(eq(prompts.id, id)).for('no key update')
  return rows[0] ?? missing()
}

async function change(tx: Tx, id: Id, values: Partial<typeof prompts.$inferInsert>): Promise<Prompt> {
  const rows = await tx.orm.update(prompts).set({ ...values, updatedAt: new Date() }).where(eq(prompts.id, id)).returning()
  return rows[0] ?? missing()
}

export const rename = (tx: Tx, id: Id, name: string): Promise<Prompt> => change(tx, id, { name })

/** Throws AppError `conflict` while an agent answers with it. Repeating it changes nothing. */
export async function archive(tx: Tx, id: Id): Promise<Prompt> {
  const prompt = await lock(tx, id)
  if (prompt.archivedAt) return prompt
  const used = await tx.query<{ id: Id }>('SELECT id FROM agents WHERE prompt_id = $1 AND ended_at IS NULL ORDER BY id LIMIT 20', [id])
  if (used.rows.length > 0) {
    throw new AppError('conflict', { message: 'Agents still use this prompt. Relink or delete them first.', details: { agent_ids: used.rows.map((row) => row.id) } })
  }
  return change(tx, id, { archivedAt: new Date() })
}

export const restore = (tx: Tx, id: Id): Promise<Prompt> => change(tx, id, { archivedAt: null })

/** Newest first; `before` is an id of a version. */
export async function listVersions(tx: Tx, promptId: Id, page: PageRequest): Promise<Page<PromptVersion>> {
  const where: SQL[] = [eq(promptVersions.promptId, promptId)]
  if (page.before) where.push(lt(promptVersions.id, page.before))
  const rows = await tx.orm.select().from(promptVersions).where(and(...where)).orderBy(desc(promptVersions.id)).limit(page.limit + 1)
  return pageOf(rows as PromptVersion[], page.limit)
}

/** Throws AppError `not_found`. */
export async function getVersion(tx: Tx, promptId: Id, version: number): Promise<PromptVersion> {
  const rows = await tx.orm.select().from(promptVersions).where(and(eq(promptVersions.promptId, promptId), eq(promptVersions.version, version)))
  if (rows.length === 0) throw new AppError('not_found', { message: `The prompt has no version ${version}.` })
  return rows[0] as PromptVersion
}

/** Numbers whose answers change when this prompt does: their cached routing has to go. */
export async function boundNumbers(tx: Tx, promptId: Id): Promise<Id[]> {
  const rows = await tx.query<{ number_id: Id }>('SELECT number_id FROM agents WHERE prompt_id = $1 AND ended_at IS NULL', [promptId])
  return rows.rows.map((row) => row.number_id)
}

function missing(): never {
  throw new AppError('not_found', { message: 'There is no such prompt.' })
}
