import { AppError, type Id } from '@trunkline/core'
import type { Tx } from '@trunkline/db'
import type { Auth } from '../auth.ts'

/** `user:<id>` or `api_key:<id>`: how rows name who did something. */
export const actorOf = (auth: Auth): string => `${auth.actor.kind}:${auth.actor.id}`

/**
 * An API key works in its own project only; what lies in another project does not exist for it. People (`projectId: null`)
 * work across the projects of their tenant.
 */
export function inProject<Row extends { projectId: Id }>(auth: Auth, row: Row): Row {
  if (auth.projectId !== null && row.projectId !== auth.projectId) throw new AppError('not_found')
  return row
}

/** The project a list is narrowed to: the key's own, or the one a person asks for. */
export function projectFilter(auth: Auth, wanted: Id | undefined): Id | undefined {
  if (auth.projectId !== null && wanted !== undefined && wanted !== auth.projectId) throw foreignProject('query.project_id')
  return auth.projectId ?? wanted
}

/** The project a new thing belongs to. A person names it; a key may. */
export async function projectFor(tx: Tx, auth: Auth, wanted: Id | undefined): Promise<Id> {
  if (auth.projectId !== null && wanted !== undefined && wanted !== auth.projectId) throw foreignProject('body.project_id')
  const id = auth.projectId ?? wanted
  if (id === undefined) throw new AppError('invalid_request', { message: 'Say which project: an API key knows its own, a person does not.', param: 'body.project_id' })
  const found = await tx.query('SELECT 1 FROM projects WHERE id = $1 AND archived_at IS NULL', [id])
  if (found.rowCount === 0) throw new AppError('not_found', { message: 'There is no such project.', param: 'body.project_id' })
  return id
}

const foreignProject = (param: string): AppError => new AppError('permission_denied', { message: 'This API key belongs to another project.', param })
