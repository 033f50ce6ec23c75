import { Validator } from '@seriousme/openapi-schema-validator'
import { z } from 'zod'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createWorld, type World } from '../../../../tests/isolation/world.ts'

type Schema = { $ref?: string; examples?: unknown[]; properties?: Record<string, Schema>; type?: string }
type Media = { schema?: Schema; example?: unknown; examples?: Record<string, { value: unknown }> }
type Body = { content?: Record<string, Media> }
type Operation = { summary?: string; tags?: string[]; operationId?: string; security?: unknown[]; requestBody?: Body; parameters?: { name: string; schema?: Schema }[]; responses: Record<string, Body> }
type Document = { openapi: string; paths: Record<string, Record<string, Operation>>; components: { schemas: Record<string, Schema> } }

let world: World
let document: Document
beforeAll(async () => {
  world = await createWorld()
  document = JSON.parse((await world.call('GET', '/openapi.json')).text) as Document
})
afterAll(() => world.close())

const operations = () => Object.entries(document.paths).flatMap(([path, methods]) => Object.entries(methods).map(([method, operation]) => ({ name: `${method.toUpperCase()} ${path}`, operation })))
const compiled = new Map<string, z.ZodType>()
/** Many routes share a schema, and compiling one takes milliseconds. */
function compile(schema: Schema | undefined): z.ZodType {
  const key = JSON.stringify(schema)
  const known = compiled.get(key)
  if (known !== undefined) return known
  const whole = JSON.stringify({ ...schema, $defs: document.components.schemas }).replaceAll('#/components/schemas/', '#/$defs/')
  const made = z.fromJSONSchema(JSON.parse(whole) as Parameters<typeof z.fromJSONSchema>[0])
  compiled.set(key, made)
  return made
}

/** What a schema says is wrong with its own examples. */
function contradictions(media: Media): string[] {
  return examplesOf(media).flatMap((example) => {
    const result = compile(media.schema).safeParse(example)
    return result.success ? [] : [z.prettifyError(result.error)]
  })
}

const examplesOf = ({ example, examples }: Media): unknown[] => (example === undefined ? Object.values(examples ?? {}).map(({ value }) => value) : [example])
const hasExample = (body: Body): boolean => Object.values(body.content ?? {}).every((media) => examplesOf(media).length > 0)
const faulty = (test: (operation: Operation) => boolean) => operations().filter(({ operation }) => !test(operation)).map(({ name }) => name)

describe('the OpenAPI document', () => {
  it('is valid OpenAPI 3.1', async () => {
    const result = await new Validator().validate(structuredClone(document))
    expect(result.errors).toBeUndefined()
    expect(result.valid).toBe(true)
    expect(document.openapi).toMatch(/^3\.1\./)
  })

  it('has every route that is not hidden', () => {
    const hidden = new Set(['GET /openapi.json'])
    const registered = world.app.routeTable.filter(({ method, url }) => /^\/(v1|health|ready|metrics)/.test(url) && !hidden.has(`${method} ${url}`)).map(({ method, url }) => `${method} ${url.replace(/:(\w+)/g, '{$1}')}`)
    expect(operations().map(({ name }) => name).toSorted()).toEqual(registered.toSorted())
  })

  it('says of every route what it is, in words and tags', () => {
    expect(faulty(({ summary, tags, operationId }) => Boolean(summary) && tags?.length === 1 && Boolean(operationId))).toEqual([])
    const ids = operations().map(({ operation }) => operation.operationId)
    expect(ids.length).toBe(new Set(ids).size)
  })

  it('describes every success with a schema and an example', () => {
    // 101: a socket's handshake, which has no body to describe.
    const described = ([status, body]: [string, Body]) => status === '101' || (Object.keys(body.content ?? {}).length > 0 && hasExample(body))
    const successes = ({ responses }: Operation) => Object.entries(responses).filter(([status]) => /^(2..|101)$/.test(status))
    expect(faulty((operation) => successes(operation).length > 0 && successes(operation).every(described))).toEqual([])
  })

  it('describes every body with an example', () => {
    expect(faulty(({ requestBody }) => requestBody === undefined || hasExample(requestBody))).toEqual([])
  })

  it('gives no example that its own schema would refuse', () => {
    const faults = operations().flatMap(({ name, operation }) =>
      [operation.requestBody, ...Object.values(operation.responses)].flatMap((body) => Object.entries(body?.content ?? {})).filter(([type]) => type === 'application/json').flatMap(([, media]) => contradictions(media)).map((fault) => `${name}: ${fault}`),
    )
    expect([...new Set(faults)]).toEqual([])
  })

  it('describes the errors of every route', () => {
    const isError = (body: Body | undefined) => Object.values(body?.content ?? {}).every(({ schema }) => schema?.$ref === '#/components/schemas/Error')
    expect(faulty(({ responses, security }) => ['400', '429', '500', ...(security?.length ? ['401', '403'] : [])].every((status) => responses[status] !== undefined && isError(responses[status])))).toEqual([])
  })

  it('says which routes honour Idempotency-Key', () => {
    const said = operations().filter(({ operation }) => operation.parameters?.some(({ name }) => name === 'Idempotency-Key')).map(({ name }) => name)
    const meant = world.app.routeTable.filter(({ idempotent }) => idempotent).map(({ method, url }) => `${method} ${url.replace(/:(\w+)/g, '{$1}')}`)
    expect(said.toSorted()).toEqual(meant.toSorted())
    expect(meant.length).toBeGreaterThan(5)
  })

  it('speaks snake_case', () => {
    const names = (schema: Schema | undefined): string[] => Object.entries(schema?.properties ?? {}).flatMap(([name, child]) => [name, ...names(child)])
    const camel = [...Object.entries(document.components.schemas).flatMap(([id, schema]) => names(schema).map((name) => `${id}.${name}`)), ...operations().flatMap(({ name, operation }) => (operation.parameters ?? []).map((parameter) => `${name} ${parameter.name}`))]
    expect(camel.filter((name) => /\.[^.]*[A-Z][^.]*$/.test(name) && !name.includes('-'))).toEqual([])
  })
})

describe('the explorer', () => {
  it('is served whole by us, and forbids the browser to fetch from anywhere else', async () => {
    const page = await world.call('GET', '/docs/')
    expect(page.status).toBe(200)
    const sources = [...page.text.matchAll(/<(?:script|link|img)[^>]+(?:src|href)="([^"]+)"/g)].map((match) => match[1]!)
    expect(sources).toContain('js/scalar.js')
    expect(sources.filter((source) => /^(https?:)?\/\//.test(source))).toEqual([])
    expect(String(page.headers['content-security-policy'])).toMatch(/default-src 'none';.*connect-src 'self'/)
    expect((await world.call('GET', '/docs/js/scalar.js')).text.length).toBeGreaterThan(1_000_000)
    expect(JSON.parse((await world.call('GET', '/docs/openapi.json')).text)).toMatchObject({ openapi: document.openapi })
  })
})
