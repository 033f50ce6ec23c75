import type { Id } from '@trunkline/core'
import { and, asc, desc, eq, isNull, lt, sql } from 'drizzle-orm'
import type { ProjectEnvironment } from '../access/key-text.ts'
import { projects } from '../tables/schema.ts'
import type { Tx } from '../tenancy.ts'

export type Project = { id: string; name: string; environment: ProjectEnvironment; rateLimitPerMinute: number | null; archivedAt: Date | null; createdAt: Date }

const shown = {
  id: projects.id,
  name: projects.name,
  environment: sql<ProjectEnvironment>`${projects.environment}`,
  rateLimitPerMinute: projects.rateLimitPerMinute,
  archivedAt: projects.archivedAt,
  createdAt: projects.createdAt,
}

export type NewProject = { id: Id; tenantId: Id; name: string; environment: ProjectEnvironment; rateLimitPerMinute?: number | null }

/** Null when the tenant has a project of this name. */
export async function insertProject(tx: Tx, project: NewProject): Promise<Project | null> {
  const [row] = await tx.orm.insert(projects).values(project).onConflictDoNothing({ target: [projects.tenantId, projects.name] }).returning(shown)
  return row ?? null
}

export async function findProject(tx: Tx, id: Id): Promise<Project | null> {
  const [row] = await tx.orm.select(shown).from(projects).where(eq(projects.id, id))
  return row ?? null
}

/** The tenant's oldest project that is not archived. */
export async function defaultProject(tx: Tx): Promise<Project | null> {
  const [row] = await tx.orm.select(shown).from(projects).where(isNull(projects.archivedAt)).orderBy(asc(projects.id)).limit(1)
  return row ?? null
}

/** Newest first, `limit` rows at most. Archived ones only when asked for; of `only`, when it is set. */
export const listProjects = (tx: Tx, filter: { limit: number; before?: Id; archived?: boolean; only?: Id | null }): Promise<Project[]> =>
  tx.orm
    .select(shown)
    .from(projects)
    .where(and(filter.only ? eq(projects.id, filter.only) : undefined, filter.before === undefined ? undefined : lt(projects.id, filter.before), filter.archived ? undefined : isNull(projects.archivedAt)))
    .orderBy(desc(projects.id))
    .limit(filter.limit)

export type ProjectChange = { name?: string; rateLimitPerMinute?: number | null }

export async function isProjectNameTaken(tx: Tx, name: string, exceptId: Id): Promise<boolean> {
  const rows = await tx.orm.select({ id: projects.id }).from(projects).where(and(eq(projects.name, name), sql`${projects.id} <> ${exceptId}`)).limit(1)
  return rows.length > 0
}

export async function updateProject(tx: Tx, id: Id, change: ProjectChange): Promise<Project | null> {
  const [row] = await tx.orm.update(projects).set(change).where(eq(projects.id, id)).returning(shown)
  return row ?? null
}

/** What stands in the way of archiving. Locks the tenant's projects, so that two calls cannot archive the last two. */
export async function projectUse(tx: Tx, id: Id): Promise<{ activeProjects: number; numbers: number }> {
  await tx.query('SELECT id FROM projects WHERE archived_at IS NULL FOR UPDATE')
  const { rows } = await tx.query<{ activeProjects: number; numbers: number }>(
    `SELECT (SELECT count(*) FROM projects WHERE archived_at IS NULL)::int AS "activeProjects",
            (SELECT count(*) FROM phone_numbers WHERE project_id = $1 AND deleted_at IS NULL)::int AS numbers`,
    [id],
  )
  return rows[0]!
}

export async function archiveProject(tx: Tx, id: Id): Promise<Project | null> {
  const [row] = await tx.orm.update(projects).set({ archivedAt: sql`coalesce(${projects.archivedAt}, now())` }).where(eq(projects.id, id)).returning(shown)
  return row ?? null
}
