import { AppError, Id, newId } from '@trunkline/core'
import { archiveProject, findProject, insertProject, isProjectNameTaken, listProjects, projectUse, updateProject, type Project as ProjectRow, type Tx } from '@trunkline/db'
import { z } from 'zod'
import { audit } from '../audit.ts'
import type { Auth } from '../auth.ts'
import type { ApiApp, ApiDeps } from '../deps.ts'
import { found } from '../found.ts'
import { decodeIdCursor, encodeCursor, fromWire, IdParams, pageOf, PageQuery, Time, toPage, toWire } from '../wire.ts'

export const PROJECT_EXAMPLE = { id: '0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5c', name: 'Production', environment: 'production' as const, rate_limit_per_minute: null, archived_at: null, created_at: '2026-11-20T09:30:00.000Z' }

const Environment = z.enum(['production', 'staging', 'development'])
const Name = z.string().trim().min(1).max(200)
const RateLimit = z.number().int().min(1).max(1_000_000).nullable().meta({ description: 'Requests a minute; null for the default' })

export const Project = z.object({ id: Id, name: z.string(), environment: Environment, rate_limit_per_minute: z.number().int().nullable(), archived_at: Time.nullable(), created_at: Time }).meta({ id: 'Project', examples: [PROJECT_EXAMPLE] })

const ProjectCreate = z.strictObject({ name: Name, environment: Environment, rate_limit_per_minute: RateLimit.optional() }).meta({ id: 'ProjectCreate', examples: [{ name: 'Staging', environment: 'staging' }] })
const ProjectPatch = z
  .strictObject({ name: Name, rate_limit_per_minute: RateLimit })
  .partial()
  .refine((change) => Object.keys(change).length > 0, 'Say what to change.')
  .meta({ id: 'ProjectPatch', examples: [{ rate_limit_per_minute: 600 }] })
const ProjectQuery = PageQuery.extend({ archived: z.enum(['true', 'false']).optional().meta({ description: '`true` lists archived projects too' }) })
const ProjectPage = pageOf(Project).meta({ id: 'ProjectPage', examples: [{ data: [PROJECT_EXAMPLE], has_more: false, next_cursor: null }] })

const tags = ['projects']
const taken = () => new AppError('conflict', { message: 'There is a project of this name.', param: 'body.name' })

/** People see all projects of their tenant; an API key sees and changes its own. It may make others, which are then none of its business. */
export function registerProjects(app: ApiApp, deps: ApiDeps): void {
  app.get('/v1/admin/projects', { config: { access: { scope: 'projects:read' } }, schema: { tags, summary: 'List projects', querystring: ProjectQuery, response: { 200: ProjectPage } } }, async ({ auth, query }) => {
    const rows = await deps.db.tenant(auth.tenantId, (tx) => listProjects(tx, { limit: query.limit + 1, before: decodeIdCursor(query.cursor), archived: query.archived === 'true', only: auth.projectId }))
    return toPage(rows, query.limit, (row) => encodeCursor(row.id))
  })

  app.get('/v1/admin/projects/:id', { config: { access: { scope: 'projects:read' } }, schema: { tags, summary: 'Read a project', params: IdParams, response: { 200: Project } } }, async ({ auth, params }) =>
    toWire(await deps.db.tenant(auth.tenantId, (tx) => ownProject(tx, auth, params.id))),
  )

  app.post('/v1/admin/projects', { config: { access: { scope: 'projects:write' }, idempotent: true }, schema: { tags, summary: 'Create a project', body: ProjectCreate, response: { 201: Project } } }, async (request, reply) => {
    const { tenantId } = request.auth
    const project = await deps.db.tenant(tenantId, async (tx) => {
      const made = await insertProject(tx, { id: newId(), tenantId, ...fromWire(request.body) })
      if (made === null) throw taken()
      await audit(tx, request, { action: 'project.created', target: { kind: 'project', id: made.id }, changes: request.body })
      return made
    })
    return reply.code(201).send(toWire(project))
  })

  app.patch('/v1/admin/projects/:id', { config: { access: { scope: 'projects:write' } }, schema: { tags, summary: 'Rename a project or set its rate limit', params: IdParams, body: ProjectPatch, response: { 200: Project } } }, async (request) => {
    const { auth, params, body } = request
    const project = await deps.db.tenant(auth.tenantId, async (tx) => {
      await ownProject(tx, auth, params.id)
      if (body.name !== undefined && (await isProjectNameTaken(tx, body.name, params.id))) throw taken()
      const changed = found(await updateProject(tx, params.id, fromWire(body)))
      await audit(tx, request, { action: 'project.updated', target: { kind: 'project', id: params.id }, changes: body })
      return changed
    })
    await deps.access.dropTenant(auth.tenantId)
    return toWire(project)
  })

  app.delete('/v1/admin/projects/:id', { config: { access: { scope: 'projects:write' } }, schema: { tags, summary: 'Archive a project; its API keys stop working', params: IdParams, response: { 200: Project } } }, async (request) => {
    const { auth, params } = request
    const project = await deps.db.tenant(auth.tenantId, async (tx) => {
      await ownProject(tx, auth, params.id)
      const { activeProjects, numbers } = await projectUse(tx, params.id)
      if (numbers > 0) throw new AppError('invalid_state', { message: 'Delete the numbers of this project first.', details: { numbers } })
      if (activeProjects <= 1) throw new AppError('invalid_state', { message: 'The last project cannot be archived.' })
      const archived = found(await archiveProject(tx, params.id))
      await audit(tx, request, { action: 'project.archived', target: { kind: 'project', id: params.id } })
      return archived
    })
    await deps.access.dropTenant(auth.tenantId)
    return toWire(project)
  })
}

const ownProject = async (tx: Tx, auth: Auth, id: string): Promise<ProjectRow> => found(auth.projectId === null || auth.projectId === id ? await findProject(tx, id) : null)
