import { newId } from '@trunkline/core'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openOffice, type Json, type Office, type Tenant } from '../../../../tests/harness/office.ts'

let office: Office
let ours: Tenant
let theirs: Tenant

beforeAll(async () => {
  office = await openOffice()
  ;[ours, theirs] = [await office.tenant(), await office.tenant()]
})
afterAll(() => office.close())

const post = (url: string, body: Json, call: { key?: string; headers?: Record<string, string> } = {}) => office.call('POST', url, { key: ours.key, body, ...call })
const get = (url: string, key = ours.key) => office.call('GET', url, { key })
const rows = async <Row extends object>(sql: string, values: unknown[]) => (await office.db.tenant(ours.tenantId, (tx) => tx.query<Row & Record<string, unknown>>(sql, values))).rows
const prompt = async (projectId = ours.projectId): Promise<string> => {
  const key = projectId === ours.projectId ? ours.key : await ours.keyWith(['prompts:write'], projectId)
  return (await post('/v1/prompts', { name: 'Another', content: { instructions: 'Be brief.', model: 'gpt-6-mini' } }, { key })).body.id
}
const relink = async (agentId: string, body: Json = {}, headers: Record<string, string> = {}) => post(`/v1/agents/${agentId}/relink`, { prompt_id: body.prompt_id ?? (await prompt()), ...body }, { headers })

describe('agents: what they are for', () => {
  it('links a prompt to a number and adopts the conversations that had no agent', async () => {
    const { id, agentId, promptId } = await office.number(ours)
    expect((await office.call('DELETE', `/v1/agents/${agentId}`, { key: ours.key })).status).toBe(200)
    expect((await office.routing.numberForRouting(id))?.agent).toBeNull()
    const waiting = await office.conversation(ours, { id, agentId: null })
    const made = await post('/v1/agents', { name: 'Rosa', number_id: id, prompt_id: promptId })
    expect(made).toMatchObject({ status: 201, body: { number_id: id, prompt_id: promptId, pinned_version: null, ended_at: null } })
    expect((await get(`/v1/conversations/${waiting.id}`)).body).toMatchObject({ agent_id: made.body.id, status: 'open' })
    expect((await office.routing.numberForRouting(id))?.agent?.id).toBe(made.body.id)
  })

  it('is renamed and pinned without touching a conversation', async () => {
    const number = await office.number(ours)
    const { id } = await office.conversation(ours, number)
    await post(`/v1/prompts/${number.promptId}/versions`, { content: { instructions: 'Second.', model: 'm' } })
    const before = (await get(`/v1/conversations/${id}`)).body
    const pinned = await office.call('PATCH', `/v1/agents/${number.agentId}`, { key: ours.key, body: { name: 'Renamed', pinned_version: 1 } })
    expect(pinned.body).toMatchObject({ id: number.agentId, name: 'Renamed', pinned_version: 1 })
    expect((await office.routing.numberForRouting(number.id))?.agent).toMatchObject({ promptVersion: 1 })
    await office.call('PATCH', `/v1/agents/${number.agentId}`, { key: ours.key, body: { pinned_version: null } })
    expect((await office.routing.numberForRouting(number.id))?.agent).toMatchObject({ promptVersion: 2 })
    expect((await get(`/v1/conversations/${id}`)).body).toEqual(before)
  })

  it('relinks: archives the conversations, keeps all history readable, begins a new agent', async () => {
    const number = await office.number(ours)
    const [open, closed] = [await office.conversation(ours, number), await office.conversation(ours, number)]
    await post(`/v1/conversations/${closed.id}/close`, undefined)
    const promptId = await prompt()
    const { status, body } = await relink(number.agentId, { prompt_id: promptId })
    expect(status).toBe(201)
    expect(body).toMatchObject({ ended_agent_id: number.agentId, archived_conversations: 2, agent: { prompt_id: promptId, number_id: number.id } })
    expect(body.agent.id).not.toBe(number.agentId)
    expect((await get(`/v1/archives/${body.archive_id}`)).body).toMatchObject({ agent_id: number.agentId, prompt_id: number.promptId, reason: 'relink', conversation_count: 2 })
    expect((await get(`/v1/archives/${body.archive_id}/conversations`)).body.data.map((row: Json) => row.id).toSorted()).toEqual([open.id, closed.id].toSorted())
    expect((await get(`/v1/conversations/${open.id}/messages`)).body.data).toMatchObject([{ content: { kind: 'text', text: 'When do you open?' } }])
    expect((await office.routing.numberForRouting(number.id))?.agent).toMatchObject({ id: body.agent.id, promptId })
  })

  it('lets nobody write into an archive', async () => {
    const number = await office.number(ours)
    const { id } = await office.conversation(ours, number)
    await relink(number.agentId)
    const writes = [
      post(`/v1/conversations/${id}/take-over`, undefined), post(`/v1/conversations/${id}/hand-back`, undefined), post(`/v1/conversations/${id}/close`, undefined),
      office.call('PATCH', `/v1/conversations/${id}`, { key: ours.key, body: { status: 'open' } }), post(`/v1/conversations/${id}/messages`, { content: { kind: 'text', text: 'Hello?' } }),
    ]
    expect(new Set((await Promise.all(writes)).map((answer) => answer.body.error.code))).toEqual(new Set(['invalid_state']))
    expect(await rows('SELECT 1 FROM messages WHERE conversation_id = $1', [id])).toHaveLength(1)
  })

  it('does nothing at all when archiving fails', async () => {
    const number = await office.number(ours)
    const { id } = await office.conversation(ours, number)
    const owner = new pg.Client({ connectionString: office.ownerUrl })
    await owner.connect()
    await owner.query(`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'disk full'; END $$;
      CREATE TRIGGER refuse BEFORE UPDATE ON conversations FOR EACH ROW WHEN (NEW.status = 'archived' AND NEW.id = '${id}') EXECUTE FUNCTION refuse()`)
    const failed = await relink(number.agentId)
    await owner.query('DROP TRIGGER refuse ON conversations; DROP FUNCTION refuse')
    await owner.end()
    expect(failed.status).toBe(500)
    expect((await get(`/v1/agents/${number.agentId}`)).body.ended_at).toBeNull()
    expect(await rows('SELECT 1 FROM agents WHERE number_id = $1', [number.id])).toHaveLength(1)
    expect(await rows('SELECT 1 FROM conversation_archives WHERE number_id = $1', [number.id])).toHaveLength(0)
    expect((await get(`/v1/conversations/${id}`)).body.status).toBe('open')
    expect((await relink(number.agentId)).status).toBe(201)
  })

  it('lets one of many concurrent relinks win', async () => {
    const number = await office.number(ours)
    await office.conversation(ours, number)
    const promptIds = await Promise.all(Array.from({ length: 6 }, () => prompt()))
    const answers = await Promise.all(promptIds.map((promptId) => relink(number.agentId, { prompt_id: promptId })))
    const [won, lost] = [answers.filter((answer) => answer.status === 201), answers.filter((answer) => answer.status !== 201)]
    expect(won).toHaveLength(1)
    expect(lost.map((answer) => answer.body.error)).toEqual(Array.from({ length: 5 }, () => expect.objectContaining({ code: 'invalid_state', details: { current_agent_id: won[0]!.body.agent.id } })))
    expect(await rows('SELECT 1 FROM agents WHERE number_id = $1 AND ended_at IS NULL', [number.id])).toHaveLength(1)
    expect(await rows('SELECT 1 FROM conversation_archives WHERE number_id = $1', [number.id])).toHaveLength(1)
  })

  it('answers a repeated request with the first answer', async () => {
    const number = await office.number(ours)
    const body = { prompt_id: await prompt() }
    const first = await relink(number.agentId, body, { 'idempotency-key': 'relink-1' })
    const again = await relink(number.agentId, body, { 'idempotency-key': 'relink-1' })
    expect(again.body).toEqual(first.body)
    expect(again.headers['idempotency-replayed']).toBe('true')
    expect(await rows('SELECT 1 FROM agents WHERE number_id = $1', [number.id])).toHaveLength(2)
  })

  it('waits for a worker that is opening a turn, so that its conversation is archived too', async () => {
    const number = await office.number(ours)
    const first = await office.conversation(ours, number)
    const opened = Promise.withResolvers<void>()
    const mayCommit = Promise.withResolvers<void>()
    const worker = office.db.system('queue', async (tx) => {
      await tx.query('SELECT 1 FROM lanes WHERE number_id = $1 FOR SHARE', [number.id])
      await tx.query(
        `INSERT INTO conversations (id, tenant_id, project_id, number_id, agent_id, contact_id, reply_to, status)
         SELECT $2, tenant_id, project_id, number_id, agent_id, contact_id, reply_to, 'closed' FROM conversations WHERE id = $1`,
        [first.id, newId()],
      )
      opened.resolve()
      await mayCommit.promise
    })
    await opened.promise
    const promptId = await prompt()
    const relinking = relink(number.agentId, { prompt_id: promptId })
    await somebodyWaits()
    mayCommit.resolve()
    await worker
    expect((await relinking).body.archived_conversations).toBe(2)
  })
})

/** Until a transaction waits for a lane that another one holds. */
async function somebodyWaits(): Promise<void> {
  const owner = new pg.Client({ connectionString: office.ownerUrl })
  await owner.connect()
  const waits = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%FROM lanes%'"
  while ((await owner.query(waits)).rowCount === 0);
  await owner.end()
}

describe('agents: what is refused', () => {
  it('a second agent on a number, with the id of the first', async () => {
    const number = await office.number(ours)
    const { body } = await post('/v1/agents', { name: 'Second', number_id: number.id, prompt_id: number.promptId })
    expect(body.error).toMatchObject({ code: 'conflict', param: 'body.number_id', details: { agent_id: number.agentId } })
  })

  it('a relink to the same prompt, unless a fresh start is meant', async () => {
    const number = await office.number(ours)
    expect((await relink(number.agentId, { prompt_id: number.promptId })).body.error).toMatchObject({ code: 'conflict', param: 'body.prompt_id' })
    expect((await relink(number.agentId, { prompt_id: number.promptId, force: true })).status).toBe(201)
  })

  it('prompts that are unknown, archived or of another project, and versions that do not exist', async () => {
    const number = await office.number(ours)
    const archived = await prompt()
    await post(`/v1/prompts/${archived}/archive`, undefined)
    const elsewhere = await prompt(await ours.project('staging'))
    const codes = async (body: Json) => (await relink(number.agentId, body)).body.error
    expect(await codes({ prompt_id: newId() })).toMatchObject({ code: 'not_found', param: 'body.prompt_id' })
    expect(await codes({ prompt_id: archived })).toMatchObject({ code: 'invalid_state', param: 'body.prompt_id' })
    expect(await codes({ prompt_id: elsewhere })).toMatchObject({ code: 'conflict', param: 'body.prompt_id' })
    expect(await codes({ pinned_version: 9 })).toMatchObject({ code: 'not_found' })
    expect((await get(`/v1/agents/${number.agentId}`)).body.ended_at).toBeNull()
  })

  it('changes of an ended agent', async () => {
    const number = await office.number(ours)
    await relink(number.agentId)
    const renamed = await office.call('PATCH', `/v1/agents/${number.agentId}`, { key: ours.key, body: { name: 'x' } })
    expect(renamed.body.error.code).toBe('invalid_state')
  })
})

describe('agents: whose they are', () => {
  it('do not exist for another tenant, nor for a key of another project; nor do its numbers and prompts', async () => {
    const number = await office.number(ours)
    const stranger = await ours.keyWith(['agents:read', 'agents:write', 'archives:read'], await ours.project('staging'))
    for (const key of [theirs.key, stranger]) {
      const probes = [
        get(`/v1/agents/${number.agentId}`, key), post(`/v1/agents/${number.agentId}/relink`, { prompt_id: number.promptId, force: true }, { key }),
        office.call('DELETE', `/v1/agents/${number.agentId}`, { key }), office.call('PATCH', `/v1/agents/${number.agentId}`, { key, body: { name: 'x' } }),
        post('/v1/agents', { name: 'x', number_id: number.id, prompt_id: number.promptId }, { key }),
      ]
      expect(new Set((await Promise.all(probes)).map((answer) => answer.status))).toEqual(new Set([404]))
    }
  })

  it('hides archives of other tenants and projects', async () => {
    const number = await office.number(ours)
    const { body } = await relink(number.agentId)
    const stranger = await ours.keyWith(['archives:read'], await ours.project('development'))
    for (const key of [theirs.key, stranger]) {
      expect((await get(`/v1/archives/${body.archive_id}`, key)).status).toBe(404)
      expect((await get(`/v1/archives/${body.archive_id}/conversations`, key)).status).toBe(404)
      expect((await get('/v1/archives', key)).body.data).toEqual([])
    }
  })
})
