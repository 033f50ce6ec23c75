import { newId } from '@trunkline/core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openOffice, type Json, type Office, type Tenant } from '../../../../tests/harness/office.ts'

let office: Office
let ours: Tenant
let theirs: Tenant
const content = { instructions: 'You are the receptionist of {{business}}.\nBe polite.', model: 'gpt-6-mini', variables: { business: 'Rosa', innerName: 'kept' } }

beforeAll(async () => {
  office = await openOffice()
  ;[ours, theirs] = [await office.tenant(), await office.tenant()]
})
afterAll(() => office.close())

const post = (url: string, body: Json, key = ours.key) => office.call('POST', url, { key, body })
const get = (url: string, key = ours.key) => office.call('GET', url, { key })
const create = async (body: Json = {}) => (await post('/v1/prompts', { name: 'Receptionist', content, ...body })).body

describe('prompts: what they are for', () => {
  it('begins with version 1, with the defaults filled in', async () => {
    const { status, body } = await post('/v1/prompts', { name: 'Receptionist', content, note: 'first' })
    expect(status).toBe(201)
    expect(body).toMatchObject({ name: 'Receptionist', current_version: 1, current: { version: 1, note: 'first', created_by: expect.stringMatching(/^api_key:/) } })
    expect(body.current.content).toMatchObject({ vendor: 'openai', max_output_tokens: 1024, max_tool_steps: 6, variables: { innerName: 'kept' } })
  })

  it('publishes versions that stay as they are, and refuses to overwrite what its author has not seen', async () => {
    const { id } = await create()
    const second = await post(`/v1/prompts/${id}/versions`, { content: { ...content, temperature: 0.2 }, based_on: 1 })
    expect(second.body).toMatchObject({ version: 2, content: { temperature: 0.2 } })
    const late = await post(`/v1/prompts/${id}/versions`, { content, based_on: 1 })
    expect(late.body.error).toMatchObject({ code: 'conflict', param: 'body.based_on', details: { current_version: 2 } })
    expect((await get(`/v1/prompts/${id}/versions/1`)).body.content.temperature).toBeUndefined()
    await expect(office.db.tenant(ours.tenantId, (tx) => tx.query('UPDATE prompt_versions SET note = $2 WHERE prompt_id = $1', [id, 'changed']))).rejects.toThrow(/append-only/)
  })

  it('gives every one of many concurrent publications a version of its own', async () => {
    const { id } = await create()
    const answers = await Promise.all(Array.from({ length: 8 }, (_, index) => post(`/v1/prompts/${id}/versions`, { content: { ...content, temperature: index / 10 } })))
    expect(answers.map((answer) => answer.body.version).toSorted((a, b) => a - b)).toEqual([2, 3, 4, 5, 6, 7, 8, 9])
    expect((await get(`/v1/prompts/${id}`)).body.current_version).toBe(9)
  })

  it('tells two versions apart by field and by line', async () => {
    const { id } = await create()
    await post(`/v1/prompts/${id}/versions`, { content: { ...content, instructions: content.instructions.replace('polite', 'brief'), temperature: 0.5, tools: [{ type: 'builtin', name: 'end_conversation' }] } })
    const { body } = await get(`/v1/prompts/${id}/diff?from=1&to=2`)
    expect((await get(`/v1/prompts/${id}/diff`)).body).toEqual(body)
    expect(body.changes).toEqual(expect.arrayContaining([{ path: 'temperature', before: null, after: 0.5 }, { path: 'tools.0', before: null, after: { type: 'builtin', name: 'end_conversation' } }]))
    expect(body.changes).toHaveLength(2)
    expect(body.instructions).toContain('-Be polite.\n')
    expect(body.instructions).toContain('+Be brief.\n')
    expect((await get(`/v1/prompts/${id}/diff?from=2&to=2`)).body).toMatchObject({ changes: [], instructions: '' })
  })

  it('rolls back by publishing the old content again, and its numbers answer by it at once', async () => {
    const number = await office.number(ours)
    await post(`/v1/prompts/${number.promptId}/versions`, { content: { ...content, instructions: 'Be rude.' } })
    expect((await office.routing.numberForRouting(number.id))?.agent).toMatchObject({ promptVersion: 2, content: { instructions: 'Be rude.' } })
    const back = await post(`/v1/prompts/${number.promptId}/rollback`, { version: 1, note: 'complaints' })
    expect(back.body).toMatchObject({ version: 3, note: 'Rollback to version 1. complaints', content: { instructions: 'Be kind.' } })
    expect((await office.routing.numberForRouting(number.id))?.agent).toMatchObject({ promptVersion: 3, content: { instructions: 'Be kind.' } })
  })

  it('imports the content of an OpenAI prompt, and passes its id through only when asked', async () => {
    const legacy = { name: 'Old', legacy_id: 'pmpt_68ac', legacy_version: '3', content }
    const copied = await post('/v1/prompts/import-legacy', legacy)
    expect(copied.body.current).toMatchObject({ note: 'Imported from pmpt_68ac version 3.', content: { instructions: content.instructions } })
    expect(copied.body.current.content.legacy_prompt).toBeUndefined()
    const passed = await post('/v1/prompts/import-legacy', { ...legacy, pass_through: true })
    expect(passed.body.current.content.legacy_prompt).toEqual({ id: 'pmpt_68ac', version: '3' })
  })

  it('archives a prompt nobody uses, hides it from the list and takes it back', async () => {
    const { id } = await create()
    await post(`/v1/prompts/${id}/archive`, undefined)
    expect((await get('/v1/prompts?limit=100')).body.data.map((prompt: Json) => prompt.id)).not.toContain(id)
    expect((await get('/v1/prompts?archived=true')).body.data.map((prompt: Json) => prompt.id)).toContain(id)
    expect((await post(`/v1/prompts/${id}/versions`, { content })).body.error.code).toBe('invalid_state')
    expect((await post(`/v1/prompts/${id}/restore`, undefined)).body.archived_at).toBeNull()
  })

  it('pages through versions without losing or doubling one', async () => {
    const { id } = await create()
    for (let version = 2; version <= 5; version++) await post(`/v1/prompts/${id}/versions`, { content })
    const seen: number[] = []
    for (let cursor = ''; ; ) {
      const { body } = await get(`/v1/prompts/${id}/versions?limit=2${cursor}`)
      seen.push(...body.data.map((version: Json) => version.version))
      if (!body.has_more) break
      cursor = `&cursor=${body.next_cursor}`
    }
    expect(seen).toEqual([5, 4, 3, 2, 1])
  })
})

describe('prompts: what is refused', () => {
  it.each([
    [{ ...content, temprature: 1 }, 'body.content.temprature'],
    [{ ...content, maxOutputTokens: 100 }, 'body.content.maxOutputTokens'],
    [{ ...content, temperature: 3 }, 'body.content.temperature'],
    [{ ...content, tools: [{ type: 'builtin', name: 'end_conversation', x: 1 }] }, 'body.content.tools.0.x'],
    [{ ...content, rules: { businessName: 'x' } }, 'body.content.rules.businessName'],
    [{ model: 'm' }, 'body.content.instructions'],
    [{ ...content, instructions: 'Hello {{nobody}}' }, 'body.content.instructions'],
  ])('names the field: %j', async (wrong, param) => {
    const { status, body } = await post('/v1/prompts', { name: 'x', content: wrong })
    expect([status, body.error.code, body.error.param]).toEqual([400, 'invalid_request', param])
  })

  it('refuses to archive a prompt that answers somewhere, and says where', async () => {
    const number = await office.number(ours)
    const { body } = await post(`/v1/prompts/${number.promptId}/archive`, undefined)
    expect(body.error).toMatchObject({ code: 'conflict', details: { agent_ids: [number.agentId] } })
  })

  it('knows no version that was never published', async () => {
    const { id } = await create()
    expect((await get(`/v1/prompts/${id}/versions/7`)).status).toBe(404)
    expect((await post(`/v1/prompts/${id}/rollback`, { version: 7 })).status).toBe(404)
    expect((await get(`/v1/prompts/${id}/versions/latest`)).status).toBe(404)
    expect((await get(`/v1/prompts/${newId()}`)).status).toBe(404)
  })
})

describe('prompts: whose they are', () => {
  it('do not exist for another tenant, nor for a key of another project', async () => {
    const { id } = await create()
    const stranger = await ours.keyWith(['prompts:read', 'prompts:write'], await ours.project('staging'))
    for (const key of [theirs.key, stranger]) {
      const probes = [
        get(`/v1/prompts/${id}`, key), get(`/v1/prompts/${id}/versions`, key), get(`/v1/prompts/${id}/versions/1`, key), get(`/v1/prompts/${id}/diff?from=1&to=1`, key),
        post(`/v1/prompts/${id}/versions`, { content }, key), post(`/v1/prompts/${id}/rollback`, { version: 1 }, key), post(`/v1/prompts/${id}/archive`, undefined, key),
      ]
      expect(new Set((await Promise.all(probes)).map((answer) => answer.status))).toEqual(new Set([404]))
    }
  })

  it('need the scope', async () => {
    const reader = await ours.keyWith(['prompts:read'])
    expect((await post('/v1/prompts', { name: 'x', content }, reader)).body.error.code).toBe('permission_denied')
    expect((await get('/v1/prompts', await ours.keyWith(['leads:read']))).status).toBe(403)
  })
})
