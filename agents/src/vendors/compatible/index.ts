import type { Clock } from '@trunkline/core'
import OpenAI from 'openai'
import { readChat, toChatFormat, toChatMessages, toChatTools } from '../completions.ts'
import { ClientCache, DEFAULT_TIMEOUT_MS } from '../connection.ts'
import type { Connection } from '../connection.ts'
import { metered } from '../contract.ts'
import type { ModelRequest, PartEvent, Vendor } from '../contract.ts'
import { withRecovery } from '../recover.ts'

/** Ollama's default; any server that speaks chat completions will do. */
export const OLLAMA_BASE_URL = 'http://127.0.0.1:11434/v1'

export function compatibleVendors(clock: Clock, clientsMax: number): (connection: Connection) => Vendor {
  const clients = new ClientCache(clientsMax, buildClient)
  return (connection) => {
    const client = clients.get(connection)
    return metered(
      {
        id: 'compatible',
        baseUrl: connection.baseUrl,
        stream: (request, signal) => withRecovery(request, signal, clock, (attempt) => complete(client, attempt, signal)),
      },
      clock,
    )
  }
}

/** Without a key no Authorization header is sent: some servers refuse a token they did not ask for. */
function buildClient(connection: Connection): OpenAI {
  return new OpenAI({
    apiKey: connection.apiKey ?? 'none',
    ...(connection.apiKey === null ? { defaultHeaders: { Authorization: null } } : {}),
    baseURL: connection.baseUrl,
    organization: null,
    project: null,
    adminAPIKey: null,
    webhookSecret: null,
    maxRetries: 0,
    timeout: connection.timeoutMs ?? DEFAULT_TIMEOUT_MS,
    logLevel: 'off',
    ...(connection.fetch ? { fetch: connection.fetch } : {}),
  })
}

/** `max_tokens`, not `max_completion_tokens`: Ollama and older vLLM know only the first. */
async function* complete(client: OpenAI, request: ModelRequest, signal: AbortSignal): AsyncGenerator<PartEvent> {
  yield { type: 'call_start' }
  const call = client.chat.completions.create(
    {
      stream: true,
      stream_options: { include_usage: true },
      model: request.model,
      messages: toChatMessages(request),
      max_tokens: request.maxOutputTokens,
      ...(request.temperature === undefined ? {} : { temperature: request.temperature }),
      ...(request.tools.length > 0 ? { tools: toChatTools(request), tool_choice: request.toolChoice ?? 'auto' } : {}),
      ...toChatFormat(request),
    },
    { signal },
  )
  const { data: stream, request_id: requestId } = await call.withResponse()
  yield* readChat(stream, requestId)
}
