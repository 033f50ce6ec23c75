import swagger from '@fastify/swagger'
import scalar from '@scalar/fastify-api-reference'
import { createJsonSchemaTransform, jsonSchemaTransformObject } from 'fastify-type-provider-zod'
import type { RouteOptions } from 'fastify'
import { z } from 'zod'
import { needs } from '../auth.ts'
import type { ApiApp } from '../deps.ts'
import { ErrorResponse } from '../wire.ts'
import { addExamples, type OpenApi } from './examples.ts'
import { addHeaders } from './headers.ts'

const DESCRIPTION = `Omnichannel contact centre: numbers, prompts, agents, conversations, leads and credits.

Send an API key as \`Authorization: Bearer tl_...\` or \`X-API-Key\`. Errors have one shape everywhere, lists are pages with a cursor, and every
POST that creates or sends honours \`Idempotency-Key\` (24 hours). Amounts are micro-credits in decimal strings.`

// Nothing outside is ever asked: the explorer's script is served by us, its fonts are the system's, and the browser is told to refuse the rest.
const DOCS_POLICY = "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; worker-src blob:; base-uri 'none'; frame-ancestors 'none'"

/** OpenAPI 3.1 from the zod schemas at `/openapi.json`, and an explorer at `/docs` that works without the internet. Before the routes. */
export async function registerOpenApi(app: ApiApp, publicUrl: string): Promise<void> {
  app.addHook('onRoute', document)
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'Trunkline API', version: '1.0.0', description: DESCRIPTION, license: { name: 'Apache-2.0', identifier: 'Apache-2.0' } },
      servers: [{ url: publicUrl }],
      components: {
        securitySchemes: {
          bearer: { type: 'http', scheme: 'bearer', description: 'An API key (`tl_...`) or the access token of a log-in.' },
          apiKey: { type: 'apiKey', in: 'header', name: 'X-API-Key' },
        },
      },
    },
    transform: createJsonSchemaTransform({}),
    transformObject: (given) => {
      const document = jsonSchemaTransformObject(given)
      addExamples(document as OpenApi)
      addHeaders(document as OpenApi)
      return document
    },
  })
  app.get('/openapi.json', { config: { access: 'public' }, schema: { hide: true } }, async () => app.swagger())
  await app.register(scalar, {
    routePrefix: '/docs',
    configuration: { pageTitle: 'Trunkline API', withDefaultFonts: false, hideClientButton: true, agent: { disabled: true }, mcp: { disabled: true }, telemetry: false, proxyUrl: '' },
    hooks: {
      onRequest(_request, reply, done) {
        void reply.header('content-security-policy', DOCS_POLICY)
        done()
      },
    },
  })
}

const TITLES: Record<number, string> = {
  400: 'The request is not valid', 401: 'No credentials, or wrong ones', 402: 'The credit does not cover this', 403: 'The credentials do not allow this', 404: 'There is no such thing',
  409: 'Not possible in the present state', 413: 'The body is too large', 415: 'Not JSON', 429: 'Too many requests', 500: 'Our fault', 503: 'Not available right now',
}

/** Adds to a route's document what follows from its configuration, so that no route can forget it. */
function document(route: RouteOptions): void {
  const { config, schema } = route
  if (schema === undefined || schema.hide || config?.access === undefined) return
  const isPublic = config.access === 'public'
  const errors = [400, 429, 500, 503, ...(isPublic ? [] : [401, 403]), ...(route.url.includes(':') ? [404] : []), ...(route.method === 'GET' ? [] : [404, 409]), ...(schema.body === undefined ? [] : [413, 415])]
  const described = Object.fromEntries(errors.map((status) => [status, { description: TITLES[status], content: { 'application/json': { schema: ErrorResponse } } }]))
  route.schema = {
    ...schema,
    operationId: schema.operationId ?? operationId(route),
    response: { ...described, ...(schema.response ?? fileAnswer(schema.produces)) },
    security: isPublic ? [] : [{ bearer: [] }, { apiKey: [] }],
    ...(config.access === 'public' ? {} : { 'x-scope': needs(config.access) }),
    ...(config.idempotent ? { 'x-idempotent': true } : {}),
  } as RouteOptions['schema']
}

/** A route that describes no answer sends a file. */
const fileAnswer = (types: readonly string[] = ['application/octet-stream']) => ({
  200: { description: 'A file', content: Object.fromEntries(types.map((type) => [type, { schema: z.string().meta({ examples: ['...'] }) }])) },
})

/** `POST /v1/prompts/:id/versions` -> `post_prompts_by_id_versions`: stable as long as the path is. */
const operationId = (route: RouteOptions): string => {
  const path = route.url.replace(/^\/v1/, '').replace(/:(\w+)/g, 'by_$1').replaceAll(/[^a-z0-9_]+/gi, '_').replace(/^_|_$/g, '')
  return `${String(route.method).toLowerCase()}_${path}`
}
