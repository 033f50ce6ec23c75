import type { FastifyReply, FastifyRequest } from 'fastify'
import type { FaultAction } from '../../faults/fault.ts'

/** A refusal in OpenAI's words. */
export type OpenAiRefusal = { status: number; type: string; code: string | null; message: string; param: string | null }

const byCode: Record<string, readonly [status: number, type: string, message: string]> = {
  conversation_locked: [400, 'invalid_request_error', 'Another process is currently operating on this conversation. Please retry in a few seconds.'],
  rate_limit_exceeded: [429, 'requests', 'Rate limit reached. Please try again later.'],
  insufficient_quota: [429, 'insufficient_quota', 'You exceeded your current quota, please check your plan and billing details.'],
  context_length_exceeded: [400, 'invalid_request_error', 'Your input exceeds the context window of this model. Please adjust your input and try again.'],
  model_not_found: [404, 'invalid_request_error', 'The model does not exist or you do not have access to it.'],
  invalid_api_key: [401, 'invalid_request_error', 'Incorrect API key provided.'],
  server_error: [500, 'server_error', 'The server had an error while processing your request. Sorry about that!'],
}

export function invalidRequest(message: string, param: string | null, code: string | null = null, status = 400): OpenAiRefusal {
  return { status, type: 'invalid_request_error', code, message, param }
}

export const notFound = (message: string): OpenAiRefusal => invalidRequest(message, null, null, 404)
export const locked: OpenAiRefusal = { status: 400, type: 'invalid_request_error', code: 'conversation_locked', message: byCode.conversation_locked![2], param: null }

export function sendOpenAiRefusal(reply: FastifyReply, { status, type, code, message, param }: OpenAiRefusal): FastifyReply {
  return reply.code(status).send({ error: { message, type, param, code } })
}

/** A scripted fault in OpenAI's form. */
export function refuseOpenAi(reply: FastifyReply, action: FaultAction): void {
  const code = typeof action.errorCode === 'string' ? action.errorCode : null
  const [status, type, message] = byCode[code ?? ''] ?? byStatus(action.status ?? 500)
  sendOpenAiRefusal(reply, { status: action.status ?? status, type, code, message, param: null })
}

function byStatus(status: number): readonly [number, string, string] {
  if (status === 429) return byCode.rate_limit_exceeded!
  if (status === 401) return byCode.invalid_api_key!
  return status >= 500 ? [status, 'server_error', byCode.server_error![2]] : [status, 'invalid_request_error', 'Scripted by the sandbox.']
}

/** The key of a request, or a refusal. Any key is good, except one that says of itself that it is `invalid`. */
export function keyOf(request: FastifyRequest): { key: string } | { refusal: OpenAiRefusal } {
  const { authorization } = request.headers
  if (!authorization?.startsWith('Bearer ') || authorization.length < 8) {
    return { refusal: invalidRequest("You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth.", null, null, 401) }
  }
  const key = authorization.slice(7)
  if (!/invalid/i.test(key)) return { key }
  return { refusal: invalidRequest(`Incorrect API key provided: ${key.slice(0, 7)}***. You can find your API key at https://platform.openai.com/account/api-keys.`, null, 'invalid_api_key', 401) }
}
