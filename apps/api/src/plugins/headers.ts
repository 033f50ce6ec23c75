import type { OpenApi, Operation } from './examples.ts'

const IDEMPOTENCY_KEY = {
  name: 'Idempotency-Key',
  in: 'header',
  description: 'Sent again with the same body within 24 hours, the request does nothing and gets the first answer. At most 255 visible ASCII characters.',
  required: false,
  schema: { type: 'string', minLength: 1, maxLength: 255 },
  example: '6f1c9a52-order-1044',
} as const

const number = (description: string) => ({ description, schema: { type: 'integer' } })
const REQUEST_ID = { 'x-request-id': { description: 'Name it when you ask us about this request.', schema: { type: 'string' } } }
const RETRY_AFTER = { 'retry-after': number('Seconds to wait.') }
const RATE = { 'x-ratelimit-limit': number('Requests a minute at the level with the least left.'), 'x-ratelimit-remaining': number('Left of it.'), 'x-ratelimit-reset': number('Seconds until some of it is free again.') }
const REPLAYED = { 'idempotency-replayed': { description: '`true`: this is the answer of an earlier request with the same key.', schema: { type: 'string' } } }

/** Describes the headers that the server itself reads and writes, route by route. */
export function addHeaders(document: OpenApi): void {
  for (const [path, methods] of Object.entries(document.paths ?? {})) {
    for (const operation of Object.values(methods)) describe(operation, path.startsWith('/v1/'))
  }
}

function describe(operation: Operation, limited: boolean): void {
  const idempotent = operation['x-idempotent'] === true
  if (idempotent) operation.parameters = [...(operation.parameters ?? []), IDEMPOTENCY_KEY]
  for (const [status, response] of Object.entries(operation.responses ?? {})) {
    const waits = status === '429' || status === '503' || (status === '409' && idempotent)
    response.headers = { ...REQUEST_ID, ...(limited ? RATE : {}), ...(waits ? RETRY_AFTER : {}), ...(idempotent && status.startsWith('2') ? REPLAYED : {}), ...response.headers }
  }
}
