import type { Clock } from '@trunkline/core'
import Groq from 'groq-sdk'
import { readChat, toChatFormat, toChatMessages, toChatTools } from '../completions.ts'
import { ClientCache, DEFAULT_TIMEOUT_MS } from '../connection.ts'
import type { Connection } from '../connection.ts'
import { metered } from '../contract.ts'
import type { ModelRequest, PartEvent, Vendor } from '../contract.ts'
import { withRecovery } from '../recover.ts'

/** The SDK adds `/openai/v1` itself. */
export const GROQ_BASE_URL = 'https://api.groq.com'

export function groqVendors(clock: Clock, clientsMax: number): (connection: Connection) => Vendor {
  const clients = new ClientCache(clientsMax, buildClient)
  return (connection) => {
    const client = clients.get(connection)
    return metered(
      {
        id: 'groq',
        baseUrl: connection.baseUrl,
        stream: (request, signal) => withRecovery(request, signal, clock, (attempt) => complete(client, attempt, signal)),
      },
      clock,
    )
  }
}

function buildClient(connection: Connection): Groq {
  return new Groq({
    apiKey: connection.apiKey ?? 'none',
    baseURL: connection.baseUrl,
    maxRetries: 0,
    timeout: connection.timeoutMs ?? DEFAULT_TIMEOUT_MS,
    logLevel: 'off',
    ...(connection.fetch ? { fetch: connection.fetch } : {}),
  })
}

/** Usage comes in the last chunk under `x_groq` without being asked for. */
async function* complete(client: Groq, request: ModelRequest, signal: AbortSignal): AsyncGenerator<PartEvent> {
  yield { type: 'call_start' }
  const call = client.chat.completions.create(
    {
      stream: true,
      model: request.model,
      messages: toChatMessages(request),
      max_completion_tokens: request.maxOutputTokens,
      ...(request.temperature === undefined ? {} : { temperature: request.temperature }),
      ...(request.tools.length > 0 ? { tools: toChatTools(request), tool_choice: request.toolChoice ?? 'auto' } : {}),
      ...toChatFormat(request),
      ...(request.safetyIdentifier ? { user: request.safetyIdentifier } : {}),
    },
    { signal },
  )
  const { data: stream, response } = await call.withResponse()
  yield* readChat(stream, response.headers.get('x-request-id'))
}
