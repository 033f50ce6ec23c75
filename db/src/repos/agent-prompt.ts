import { AppError, type Id, type PromptContent } from '@trunkline/core'
import type { Tx } from '../tenancy.ts'
import * as agents from './agents.ts'
import * as prompts from './prompts.ts'

/** What an agent that is at work says and does. `projectId` narrows to one project. Throws AppError `not_found`. */
export async function promptOfAgent(tx: Tx, agentId: Id, projectId: Id | null): Promise<PromptContent> {
  const agent = await agents.get(tx, agentId)
  if (agent.endedAt || (projectId !== null && agent.projectId !== projectId)) throw new AppError('not_found', { message: 'There is no such agent.' })
  const version = agent.pinnedVersion ?? (await prompts.get(tx, agent.promptId)).currentVersion
  return (await prompts.getVersion(tx, agent.promptId, version)).content
}
