import { AppError, toWireError, type Logger } from '@trunkline/core'
import { isDatabaseAway, isDatabaseCollision } from '@trunkline/db'
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import { hasZodFastifySchemaValidationErrors } from 'fastify-type-provider-zod'
import type { ApiApp } from '../deps.ts'

/** Every failure leaves through here in the one shape of DESIGN §7. */
export function registerErrors(app: ApiApp, log: Logger): void {
  app.setErrorHandler((error: FastifyError, request, reply) => answer(toAppError(error, request), error, request, reply, log))
  const routes: { method: string; pattern: RegExp }[] = []
  app.addHook('onRoute', (route) => {
    for (const method of [route.method].flat()) routes.push({ method, pattern: patternOf(route.url) })
  })
  app.setNotFoundHandler((request, reply) => {
    const path = request.url.split('?', 1)[0]!
    const allowed = [...new Set(routes.filter((route) => route.pattern.test(path)).map((route) => route.method))]
    if (allowed.length === 0) throw new AppError('not_found', { message: 'There is no such route.' })
    const error = new AppError('invalid_request', { message: `${request.method} is not possible here. Possible: ${allowed.join(', ')}.`, param: 'method' })
    void reply.header('allow', allowed.join(', '))
    send(reply, 405, error, request)
  })
}

/** For the `frameworkErrors` of a server: paths that the router gives up before there is a route or a handler of errors. */
export function refusePath(error: FastifyError, request: FastifyRequest, reply: FastifyReply): void {
  const isTooLong = error.code === 'FST_ERR_MAX_PARAM_LENGTH'
  const refusal = isTooLong ? new AppError('not_found', { message: 'There is no such route.' }) : new AppError('invalid_request', { message: 'The path is not well formed.', param: 'path' })
  send(reply, refusal.status, refusal, request)
}

/** `/v1/things/:id` -> a test of whole paths. */
function patternOf(url: string): RegExp {
  const parts = url.split(/(:\w+|\*)/).map((part) => (part === '*' ? '.*' : part.startsWith(':') ? '[^/]+' : part.replace(/[.+?^${}()|[\]\\]/g, '\\$&')))
  return new RegExp(`^${parts.join('')}$`)
}

function answer(error: AppError, cause: unknown, request: FastifyRequest, reply: FastifyReply, log: Logger): void {
  if (error.status >= 500) log.error({ requestId: request.id, code: error.code, route: request.routeOptions.url, err: cause }, 'a request failed')
  if (error.retryAfterMs !== undefined) void reply.header('retry-after', Math.max(1, Math.ceil(error.retryAfterMs / 1000)))
  if (error.status === 401) void reply.header('www-authenticate', 'Bearer')
  send(reply, error.status, error, request)
}

/** Past the route's own serializer: this shape is ours and needs no schema. */
const send = (reply: FastifyReply, status: number, error: AppError, request: FastifyRequest): void => {
  void reply.code(status).type('application/json; charset=utf-8').serializer(JSON.stringify).send(toWireError(error, request.id))
}

function toAppError(error: FastifyError, request: FastifyRequest): AppError {
  if (error instanceof AppError) return error
  if (hasZodFastifySchemaValidationErrors(error)) return fromValidation(error)
  if (isDatabaseAway(error)) return new AppError('unavailable', { cause: error, retryAfterMs: 1_000 })
  if (isDatabaseCollision(error)) return new AppError('conflict', { cause: error })
  return fromFastify(error, request) ?? new AppError('internal', { cause: error })
}

type Invalid = { validationContext?: string; validation: { instancePath: string; message?: string; params?: Record<string, unknown> }[] }

/** The first fault, with its path: `body.settings.phone_number_id`. The others are in `details.issues`. */
function fromValidation(error: Invalid): AppError {
  const context = error.validationContext === 'querystring' ? 'query' : (error.validationContext ?? 'body')
  const issues = error.validation.flatMap((issue) => {
    const path = issue.instancePath.split('/').filter((part) => part !== '')
    const unknown = Array.isArray(issue.params?.['keys']) ? issue.params['keys'].map(String) : []
    const paths = unknown.length > 0 ? unknown.map((key) => [...path, key]) : [path]
    return paths.map((parts) => ({ param: [context, ...parts].join('.').slice(0, 256), message: unknown.length > 0 ? 'This field is not known here.' : (issue.message ?? 'Not valid.') }))
  })
  const first = issues[0] ?? { param: context, message: 'Not valid.' }
  return new AppError('invalid_request', { message: `${first.param}: ${first.message}`, param: first.param, ...(issues.length > 1 ? { details: { issues: issues.slice(0, 20) } } : {}) })
}

/** Fastify's own refusals, by their documented codes (fastify.dev/docs/latest/Reference/Errors). */
function fromFastify(error: FastifyError, request: FastifyRequest): AppError | null {
  switch (error.code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return new AppError('payload_too_large', { details: { limit_bytes: request.routeOptions.bodyLimit } })
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return new AppError('unsupported_media_type', { message: 'Send application/json.', param: 'headers.content-type' })
    case 'FST_ERR_CTP_EMPTY_JSON_BODY':
      return new AppError('invalid_json', { message: 'The body is empty.', param: 'body' })
    case 'FST_ERR_CTP_INVALID_JSON_BODY':
      return new AppError('invalid_json', { param: 'body' })
    case 'FST_ERR_CTP_INVALID_CONTENT_LENGTH':
      return new AppError('invalid_request', { message: 'The body is not as long as Content-Length says.', param: 'headers.content-length' })
  }
  if (error instanceof SyntaxError && error.statusCode === 400) return new AppError('invalid_json', { param: 'body' })
  if (error.statusCode !== undefined && error.statusCode >= 400 && error.statusCode < 500) return new AppError('invalid_request', { message: 'The request is malformed.' })
  return null
}
