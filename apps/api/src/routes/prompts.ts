import { AppError, Id, PromptContent } from '@trunkline/core'
import { prompts, type Tx } from '@trunkline/db'
import type { FastifyRequest } from 'fastify'
import { z } from 'zod'
import { audit } from '../audit.ts'
import type { ApiApp, ApiDeps } from '../deps.ts'
import { decodeIdCursor, fromWire, IdParams, OpaqueJson, pageOf, PageQuery, Time, toWire } from '../wire.ts'
import { actorOf, inProject, projectFilter, projectFor } from './caller.ts'
import { fieldChanges, textDiff } from './prompt-diff.ts'
import { wirePage, wireSchema } from './wire-schema.ts'

const Name = z.string().trim().min(1).max(255)
const Note = z.string().max(1000).default('').meta({ description: 'Why this version exists' })
const Version = z.coerce.number().int().min(1).max(2_147_483_647)
const CONTENT_EXAMPLE = { instructions: 'You are the receptionist of {{business}}.', vendor: 'openai', model: 'gpt-6-mini', tools: [{ type: 'builtin', name: 'handover_to_human' }], variables: { business: 'Bakery Rosa' } }
const Content = wireSchema(PromptContent).meta({ id: 'PromptContent', description: 'Instructions, model, tools, variables and the rule book', examples: [CONTENT_EXAMPLE] })
/** As it was stored: versions are older than the rules of today. */
const StoredContent = OpaqueJson.meta({ description: 'See PromptContent', examples: [CONTENT_EXAMPLE] })

const VersionView = z
  .object({ id: Id, prompt_id: Id, version: z.number().int(), content: StoredContent, note: z.string(), created_by: z.string(), created_at: Time })
  .meta({ id: 'PromptVersion' })
const PromptView = z
  .object({ id: Id, project_id: Id, name: z.string(), current_version: z.number().int(), archived_at: Time.nullable(), created_at: Time, updated_at: Time })
  .meta({ id: 'Prompt' })
const PromptDetail = PromptView.extend({ current: VersionView }).meta({ id: 'PromptDetail' })

const CreatePrompt = z.strictObject({ project_id: Id.optional(), name: Name, content: Content, note: Note }).meta({ examples: [{ name: 'Receptionist', content: CONTENT_EXAMPLE }] })
const NewVersion = z.strictObject({
  content: Content,
  note: Note,
  based_on: z.number().int().min(1).optional().meta({ description: 'The version you edited. If another came between, the answer is a conflict and nothing is overwritten.' }),
})
const LEGACY_EXAMPLE = { name: 'Old receptionist', legacy_id: 'pmpt_68ac', legacy_version: '3', content: { instructions: 'You are the receptionist.', model: 'gpt-6-mini' } }
const ImportLegacy = z
  .strictObject({
    project_id: Id.optional(),
    name: Name,
    legacy_id: z.string().regex(/^pmpt_[A-Za-z0-9]{1,128}$/, 'Expected an OpenAI prompt id: pmpt_…'),
    legacy_version: z.string().max(32).optional(),
    content: Content.meta({ description: 'What the OpenAI prompt says, from your export: OpenAI gives nobody else its text' }),
    pass_through: z.boolean().default(false).meta({ description: 'Go on using the OpenAI prompt while OpenAI serves it (until 30 November 2026)' }),
  })
  .meta({ examples: [LEGACY_EXAMPLE] })
const Rollback = z.strictObject({ version: Version, note: Note })
const DiffQuery = z.object({ from: Version.optional().meta({ description: 'The version before `to`, unless given' }), to: Version.optional().meta({ description: 'The current version, unless given' }) })
const Diff = z
  .object({
    from: z.number().int(),
    to: z.number().int(),
    changes: z.array(z.object({ path: z.string(), before: z.unknown(), after: z.unknown() })).meta({ description: 'Fields that differ, except the instructions' }),
    instructions: z.string().nullable().meta({ description: 'Unified diff; empty when they are equal, null when the texts are too different to compare' }),
  })
  .meta({ id: 'PromptDiff', examples: [{ from: 1, to: 2, changes: [{ path: 'temperature', before: null, after: 0.2 }], instructions: '--- version 1\n+++ version 2\n@@ -1 +1 @@\n-Be polite.\n+Be brief.\n' }] })
/** Any text: what is not a number names no version, and that is a 404 as for any other path. */
const VersionParams = IdParams.extend({ version: z.string().min(1).max(64).meta({ description: 'The number of the version', examples: ['2'] }) })
const ListQuery = PageQuery.extend({ project_id: Id.optional(), archived: z.stringbool().optional() })

const tags = ['prompts']
const read = { access: { scope: 'prompts:read' } } as const
const write = { access: { scope: 'prompts:write' } } as const
const creates = { ...write, idempotent: true } as const

const promptView = ({ tenantId: _tenant, ...row }: prompts.Prompt) => toWire(row)
const versionView = ({ tenantId: _tenant, content, ...row }: prompts.PromptVersion) => ({ ...toWire(row), content: toWire(content) as Record<string, unknown> })

/** `/v1/prompts`: what agents are told, in immutable versions. */
export function registerPrompts(app: ApiApp, deps: ApiDeps): void {
  registerPromptLife(app, deps)
  registerVersions(app, deps)
  registerComparison(app, deps)
  registerImport(app, deps)
}

const find = async (tx: Tx, request: FastifyRequest, id: Id): Promise<prompts.Prompt> => inProject(request.auth, await prompts.get(tx, id))

/** The content in our words, or AppError `invalid_request` with the path on the wire. */
function checked(deps: ApiDeps, wire: unknown): PromptContent {
  const content = PromptContent.parse(fromWire(wire))
  const faults = deps.ports.checkPrompt(content).map((fault) => ({ param: `body.content.${wirePath(fault.param)}`, message: fault.message }))
  if (faults.length > 0) throw new AppError('invalid_request', { message: faults[0]!.message, param: faults[0]!.param, details: { issues: faults.slice(0, 20) } })
  return content
}

/** `rules.openingHours.days`, `tools[0].url` -> `rules.opening_hours.days`, `tools.0.url`. */
const wirePath = (path: string): string => path.replaceAll(/\[(\d+)\]/g, '.$1').replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)

async function create(deps: ApiDeps, request: FastifyRequest, body: { project_id?: string | undefined; name: string; note: string }, content: PromptContent, action: string) {
  const { auth } = request
  return deps.db.tenant(auth.tenantId, async (tx) => {
    const projectId = await projectFor(tx, auth, body.project_id)
    const made = await prompts.insert(tx, { tenantId: auth.tenantId, projectId, name: body.name, content, note: body.note, createdBy: actorOf(auth) })
    await audit(tx, request, { action, target: { kind: 'prompt', id: made.prompt.id }, changes: { name: body.name, version: 1 } })
    return { ...promptView(made.prompt), current: versionView(made.version) }
  })
}

function registerPromptLife(app: ApiApp, deps: ApiDeps): void {
  const { db } = deps
  app.post('/v1/prompts', { config: creates, schema: { tags, summary: 'Create a prompt', body: CreatePrompt, response: { 201: PromptDetail } } }, async (request, reply) =>
    reply.code(201).send(await create(deps, request, request.body, checked(deps, request.body.content), 'prompt.created')),
  )

  app.get('/v1/prompts', { config: read, schema: { tags, summary: 'List prompts', querystring: ListQuery, response: { 200: pageOf(PromptView) } } }, async ({ auth, query }) => {
    const filter = { projectId: projectFilter(auth, query.project_id), archived: query.archived }
    return wirePage(await db.tenant(auth.tenantId, (tx) => prompts.list(tx, filter, { limit: query.limit, before: decodeIdCursor(query.cursor) })), promptView)
  })

  app.get('/v1/prompts/:id', { config: read, schema: { tags, summary: 'Read a prompt', params: IdParams, response: { 200: PromptDetail } } }, async (request) =>
    db.tenant(request.auth.tenantId, async (tx) => {
      const prompt = await find(tx, request, request.params.id)
      return { ...promptView(prompt), current: versionView(await prompts.getVersion(tx, prompt.id, prompt.currentVersion)) }
    }),
  )

  const change = (request: FastifyRequest, id: Id, action: string, work: (tx: Tx) => Promise<prompts.Prompt>) =>
    db.tenant(request.auth.tenantId, async (tx) => {
      await find(tx, request, id)
      const prompt = await work(tx)
      await audit(tx, request, { action, target: { kind: 'prompt', id }, changes: { name: prompt.name } })
      return promptView(prompt)
    })
  app.patch('/v1/prompts/:id', { config: write, schema: { tags, summary: 'Rename a prompt', params: IdParams, body: z.strictObject({ name: Name }), response: { 200: PromptView } } }, async (request) =>
    change(request, request.params.id, 'prompt.renamed', (tx) => prompts.rename(tx, request.params.id, request.body.name)),
  )
  app.post('/v1/prompts/:id/archive', { config: { ...write, idempotent: false }, schema: { tags, summary: 'Archive a prompt that no agent uses', params: IdParams, response: { 200: PromptView } } }, async (request) =>
    change(request, request.params.id, 'prompt.archived', (tx) => prompts.archive(tx, request.params.id)),
  )
  app.post('/v1/prompts/:id/restore', { config: { ...write, idempotent: false }, schema: { tags, summary: 'Take a prompt out of the archive', params: IdParams, response: { 200: PromptView } } }, async (request) =>
    change(request, request.params.id, 'prompt.restored', (tx) => prompts.restore(tx, request.params.id)),
  )
}

type Draft = { content: PromptContent; note: string; basedOn?: number | undefined }

/** A new version with its audit entry; agents that follow the prompt answer by it as soon as the caches have heard. */
async function publish(deps: ApiDeps, request: FastifyRequest, id: Id, draft: (tx: Tx) => Promise<Draft>, action: string) {
  const answer = await deps.db.tenant(request.auth.tenantId, async (tx) => {
    await find(tx, request, id)
    const { version } = await prompts.addVersion(tx, id, { ...(await draft(tx)), createdBy: actorOf(request.auth) })
    await audit(tx, request, { action, target: { kind: 'prompt', id }, changes: { version: version.version, note: version.note } })
    return { version: versionView(version), numbers: await prompts.boundNumbers(tx, id) }
  })
  await Promise.all(answer.numbers.map((number) => deps.ports.routing.invalidateNumber(number)))
  return answer.version
}

function registerVersions(app: ApiApp, deps: ApiDeps): void {
  const { db } = deps
  app.post('/v1/prompts/:id/versions', { config: creates, schema: { tags, summary: 'Publish a new version', params: IdParams, body: NewVersion, response: { 201: VersionView } } }, async (request, reply) => {
    const { content, note, based_on: basedOn } = request.body
    const draft = { content: checked(deps, content), note, basedOn }
    return reply.code(201).send(await publish(deps, request, request.params.id, async () => draft, 'prompt.version_published'))
  })

  app.get('/v1/prompts/:id/versions', { config: read, schema: { tags, summary: 'List the versions of a prompt', params: IdParams, querystring: PageQuery, response: { 200: pageOf(VersionView) } } }, async (request) =>
    db.tenant(request.auth.tenantId, async (tx) => {
      await find(tx, request, request.params.id)
      const { limit, cursor } = request.query
      return wirePage(await prompts.listVersions(tx, request.params.id, { limit, before: decodeIdCursor(cursor) }), versionView)
    }),
  )

  app.get('/v1/prompts/:id/versions/:version', { config: read, schema: { tags, summary: 'Read one version', params: VersionParams, response: { 200: VersionView } } }, async (request) =>
    db.tenant(request.auth.tenantId, async (tx) => {
      await find(tx, request, request.params.id)
      const version = Version.safeParse(request.params.version)
      return versionView(await prompts.getVersion(tx, request.params.id, version.data ?? 0))
    }),
  )

  app.post('/v1/prompts/:id/rollback', { config: creates, schema: { tags, summary: 'Go back to an older version', description: 'Publishes its content as a new version; nothing is lost.', params: IdParams, body: Rollback, response: { 201: VersionView } } }, async (request, reply) => {
    const { version, note } = request.body
    const draft = async (tx: Tx) => ({ content: (await prompts.getVersion(tx, request.params.id, version)).content, note: [`Rollback to version ${version}.`, note].filter(Boolean).join(' ') })
    return reply.code(201).send(await publish(deps, request, request.params.id, draft, 'prompt.rolled_back'))
  })
}

function registerComparison(app: ApiApp, deps: ApiDeps): void {
  app.get('/v1/prompts/:id/diff', { config: read, schema: { tags, summary: 'Compare two versions', params: IdParams, querystring: DiffQuery, response: { 200: Diff } } }, async (request) => {
    const [before, after] = await deps.db.tenant(request.auth.tenantId, async (tx) => {
      const { id, currentVersion } = await find(tx, request, request.params.id)
      const to = request.query.to ?? currentVersion
      return [await prompts.getVersion(tx, id, request.query.from ?? Math.max(1, to - 1)), await prompts.getVersion(tx, id, to)] as const
    })
    const [from, to] = [before.version, after.version]
    const { instructions: was, ...oldFields } = before.content
    const { instructions: is, ...newFields } = after.content
    return { from, to, changes: fieldChanges(toWire(oldFields), toWire(newFields)), instructions: textDiff(was, is, { from: `version ${from}`, to: `version ${to}` }) }
  })
}

function registerImport(app: ApiApp, deps: ApiDeps): void {
  const description = 'OpenAI retires prompt objects on 30 November 2026 and has no way to read their text for somebody else, so the content comes from your export.'
  app.post('/v1/prompts/import-legacy', { config: creates, schema: { tags, summary: 'Copy an OpenAI prompt (pmpt_…) into our registry', description, body: ImportLegacy, response: { 201: PromptDetail } } }, async (request, reply) => {
    const { legacy_id: id, legacy_version: version, pass_through: passThrough, ...body } = request.body
    const content = checked(deps, body.content)
    const legacyPrompt = passThrough ? { id, ...(version === undefined ? {} : { version }) } : undefined
    const note = `Imported from ${id}${version === undefined ? '' : ` version ${version}`}.`
    return reply.code(201).send(await create(deps, request, { ...body, note }, { ...content, legacyPrompt }, 'prompt.imported'))
  })
}
