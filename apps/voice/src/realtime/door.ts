import { realtime } from '@trunkline/channels'
import { AppError, Id, type PromptContent } from '@trunkline/core'
import { agents, prompts, type Access, type Db, type Principal, type Tx } from '@trunkline/db'
import type { IncomingHttpHeaders } from 'node:http'

/** Who came in and what for, once everything about it has been checked. */
export type Visit = { principal: Principal; connection: realtime.Connection; model: string; /** Named by its id instead of a model: its prompt speaks. */ agent: PromptContent | null }

export type DoorDeps = { access: Access; db: Db }

const SCOPE = 'realtime:write'

/** Throws AppError; nothing about the credential is in it. */
export async function admit(url: string, headers: IncomingHttpHeaders, { access, db }: DoorDeps): Promise<Visit> {
  const parsed = realtime.parseConnection(url, headers)
  if (!parsed.ok) throw parsed.error
  const { connection } = parsed
  const principal = await access.keys.check(connection.credential.value)
  if (!principal.scopes.has(SCOPE)) throw new AppError('permission_denied', { details: { needs: SCOPE } })
  if (connection.target.mode === 'call') throw new AppError('not_found', { message: 'There is no such call.' })
  const model = connection.target.mode === 'realtime' ? connection.target.model : ''
  const id = Id.safeParse(model)
  if (!id.success) return { principal, connection, model, agent: null }
  return { principal, connection, model, agent: await db.tenant(principal.tenantId, (tx) => promptOf(tx, id.data, principal.projectId)) }
}

/** Of an agent that is at work in this project. */
async function promptOf(tx: Tx, agentId: Id, projectId: string | null): Promise<PromptContent> {
  const agent = await agents.get(tx, agentId)
  if (agent.endedAt || (projectId !== null && agent.projectId !== projectId)) throw new AppError('not_found', { message: 'There is no such agent.' })
  const version = agent.pinnedVersion ?? (await prompts.get(tx, agent.promptId)).currentVersion
  return (await prompts.getVersion(tx, agent.promptId, version)).content
}
