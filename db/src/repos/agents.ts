import { AppError, newId, type Id } from '@trunkline/core'
import { and, desc, eq, isNotNull, isNull, lt, type SQL } from 'drizzle-orm'
import { agents } from '../tables/schema.ts'
import type { Tx } from '../tenancy.ts'
import { archiveNumber, type Archive } from './archives.ts'
import { lockBinding } from './numbers.ts'
import { type Page, type PageRequest, pageOf } from './page.ts'
import * as prompts from './prompts.ts'

/** One binding of one prompt to one number. `endedAt` is set by a relink or an unlink and never taken back. */
export type Agent = {
  id: Id
  tenantId: Id
  projectId: Id
  name: string
  numberId: Id
  promptId: Id
  /** Null follows the prompt's current version. */
  pinnedVersion: number | null
  endedAt: Date | null
  createdAt: Date
}

export type NewAgent = { name: string; numberId: Id; promptId: Id; pinnedVersion?: number | null | undefined }

/**
 * Links a number that has no agent. Conversations that began while it had none become this agent's.
 * Throws AppError `conflict` when the number is linked already (`details.agent_id`).
 */
export async function link(tx: Tx, agent: NewAgent): Promise<Agent> {
  const number = await lockBinding(tx, agent.numberId)
  const current = await activeOf(tx, number.id)
  if (current) throw new AppError('conflict', { message: 'This number has an agent. Relink it instead.', param: 'body.number_id', details: { agent_id: current.id } })
  await usablePrompt(tx, agent.promptId, agent.pinnedVersion ?? null, number.projectId)
  const made = await insert(tx, { ...agent, tenantId: number.tenantId, projectId: number.projectId })
  await tx.query("UPDATE conversations SET agent_id = $2 WHERE number_id = $1 AND agent_id IS NULL AND status <> 'archived'", [number.id, made.id])
  return made
}

async function insert(tx: Tx, agent: NewAgent & { tenantId: Id; projectId: Id }): Promise<Agent> {
  const rows = await tx.orm.insert(agents).values({ ...agent, id: newId() }).returning()
  return rows[0]!
}

async function usablePrompt(tx: Tx, promptId: Id, version: number | null, projectId: Id): Promise<void> {
  const prompt = await prompts.get(tx, promptId).catch((error: unknown) => {
    throw error instanceof AppError ? new AppError('not_found', { message: error.message, param: 'body.prompt_id' }) : error
  })
  if (prompt.projectId !== projectId) throw new AppError('conflict', { message: 'The prompt belongs to another project than the number.', param: 'body.prompt_id' })
  if (prompt.archivedAt) throw new AppError('invalid_state', { message: 'This prompt is archived.', param: 'body.prompt_id' })
  if (version !== null) await prompts.getVersion(tx, promptId, version)
}

export type AgentFilter = { projectId?: Id | undefined; numberId?: Id | undefined; promptId?: Id | undefined; ended?: boolean | undefined }

/** Ended agents only when asked for. */
export async function list(tx: Tx, filter: AgentFilter, page: PageRequest): Promise<Page<Agent>> {
  const where: SQL[] = [filter.ended ? isNotNull(agents.endedAt) : isNull(agents.endedAt)]
  if (filter.projectId) where.push(eq(agents.projectId, filter.projectId))
  if (filter.numberId) where.push(eq(agents.numberId, filter.numberId))
  if (filter.promptId) where.push(eq(agents.promptId, filter.promptId))
  if (page.before) where.push(lt(agents.id, page.before))
  const rows = await tx.orm.select().from(agents).where(and(...where)).orderBy(desc(agents.id)).limit(page.limit + 1)
  return pageOf(rows, page.limit)
}

/** Throws AppError `not_found`. */
export async function get(tx: Tx, id: Id): Promise<Agent> {
  const rows = await tx.orm.select().from(agents).where(eq(agents.id, id))
  return rows[0] ?? missing()
}

export async function activeOf(tx: Tx, numberId: Id): Promise<Agent | null> {
  const rows = await tx.orm.select().from(agents).where(and(eq(agents.numberId, numberId), isNull(agents.endedAt)))
  return rows[0] ?? null
}

/** Its conversations stay as they are. Throws AppError `invalid_state` for an ended agent. */
export async function update(tx: Tx, id: Id, patch: { name?: string | undefined; pinnedVersion?: number | null | undefined }): Promise<Agent> {
  const agent = await locked(tx, id)
  if (patch.pinnedVersion != null) await prompts.getVersion(tx, agent.promptId, patch.pinnedVersion)
  const values = { name: patch.name ?? agent.name, pinnedVersion: patch.pinnedVersion === undefined ? agent.pinnedVersion : patch.pinnedVersion }
  const rows = await tx.orm.update(agents).set(values).where(eq(agents.id, id)).returning()
  return rows[0]!
}

/** The agent with its number's binding held still; the second of two relinks finds it ended. */
async function locked(tx: Tx, id: Id): Promise<Agent> {
  const { numberId } = await get(tx, id)
  await lockBinding(tx, numberId).catch((error: unknown) => {
    // The number was deleted, so its agent has ended.
    throw error instanceof AppError ? new AppError('invalid_state', { message: 'This agent has ended: its number was deleted.' }) : error
  })
  const agent = await get(tx, id)
  if (agent.endedAt) {
    const current = await activeOf(tx, numberId)
    throw new AppError('invalid_state', { message: 'This agent has ended.', details: { current_agent_id: current?.id ?? null } })
  }
  return agent
}

export type Relink = { promptId: Id; pinnedVersion?: number | null | undefined; name?: string | undefined; force?: boolean | undefined; actor: string }

/**
 * Gives the agent's number another prompt: the agent ends, its conversations go into an archive, a new agent begins. All of
 * it or nothing. Turns that are under way belong to archived conversations, so their answers end there.
 * The same prompt again is AppError `conflict` unless `force` (a fresh start is then meant).
 */
export async function relink(tx: Tx, id: Id, wish: Relink): Promise<{ agent: Agent; archive: Archive }> {
  const old = await locked(tx, id)
  if (old.promptId === wish.promptId && !wish.force) {
    throw new AppError('conflict', { message: 'The agent uses this prompt already. Set "force" to archive its conversations and start afresh.', param: 'body.prompt_id' })
  }
  await usablePrompt(tx, wish.promptId, wish.pinnedVersion ?? null, old.projectId)
  const archive = await end(tx, old, wish.actor)
  const { tenantId, projectId, numberId } = old
  const agent = await insert(tx, { tenantId, projectId, numberId, name: wish.name ?? old.name, promptId: wish.promptId, pinnedVersion: wish.pinnedVersion ?? null })
  return { agent, archive }
}

/** Ends the agent and archives its conversations; the number then waits for another agent. */
export async function unlink(tx: Tx, id: Id, actor: string): Promise<{ agent: Agent; archive: Archive }> {
  const old = await locked(tx, id)
  const archive = await end(tx, old, actor)
  return { agent: await get(tx, id), archive }
}

async function end(tx: Tx, agent: Agent, actor: string): Promise<Archive> {
  await tx.orm.update(agents).set({ endedAt: new Date() }).where(eq(agents.id, agent.id))
  const { tenantId, numberId, id: agentId, promptId } = agent
  return archiveNumber(tx, { tenantId, numberId, agentId, promptId, reason: 'relink', archivedBy: actor })
}

function missing(): never {
  throw new AppError('not_found', { message: 'There is no such agent.' })
}
