import Anthropic from '@anthropic-ai/sdk'
import type { Clock } from '@trunkline/core'
import { ClientCache, DEFAULT_TIMEOUT_MS } from '../connection.ts'
import type { Connection } from '../connection.ts'
import { metered } from '../contract.ts'
import type { AnswerOutcome, CallTokens, ModelRequest, PartEvent, Vendor } from '../contract.ts'
import { VendorError } from '../failure.ts'
import { withRecovery } from '../recover.ts'
import { toAnthropicParams } from './wire.ts'

export const ANTHROPIC_BASE_URL = 'https://api.anthropic.com'

export function anthropicVendors(clock: Clock, clientsMax: number): (connection: Connection) => Vendor {
  const clients = new ClientCache(clientsMax, buildClient)
  return (connection) => {
    const client = clients.get(connection)
    return metered(
      {
        id: 'anthropic',
        baseUrl: connection.baseUrl,
        stream: (request, signal) => withRecovery(request, signal, clock, (attempt) => converse(client, attempt, signal)),
      },
      clock,
    )
  }
}

function buildClient(connection: Connection): Anthropic {
  return new Anthropic({
    apiKey: connection.apiKey ?? 'none',
    authToken: null,
    webhookKey: null,
    baseURL: connection.baseUrl,
    maxRetries: 0,
    timeout: connection.timeoutMs ?? DEFAULT_TIMEOUT_MS,
    logLevel: 'off',
    ...(connection.fetch ? { fetch: connection.fetch } : {}),
  })
}

async function* converse(client: Anthropic, request: ModelRequest, signal: AbortSignal): AsyncGenerator<PartEvent> {
  yield { type: 'call_start' }
  const { data: stream, request_id: requestId } = await client.messages.create(toAnthropicParams(request), { signal }).withResponse()
  const reader = new MessageReader(requestId ?? null)
  for await (const event of stream) yield* reader.read(event)
  yield* reader.end()
}

const OUTCOMES: Partial<Record<Anthropic.StopReason, AnswerOutcome>> = {
  max_tokens: 'incomplete',
  model_context_window_exceeded: 'incomplete',
  refusal: 'refused',
}

/** Order on the wire: message_start, (content_block_start, content_block_delta*, content_block_stop)*, message_delta, message_stop. */
class MessageReader {
  readonly #requestId: string | null
  readonly #calls = new Map<number, { id: string; name: string; json: string }>()
  #tokens: CallTokens
  #stop: Anthropic.StopReason | null = null
  #ended = false
  #textBlocks = 0

  constructor(requestId: string | null) {
    this.#requestId = requestId
    this.#tokens = { inputTokens: 0, cachedInputTokens: 0, outputTokens: 0, requestId }
  }

  *read(event: Anthropic.RawMessageStreamEvent): Generator<PartEvent> {
    switch (event.type) {
      case 'message_start':
        this.#started(event.message.usage)
        return
      case 'content_block_start':
        if (event.content_block.type === 'tool_use') this.#calls.set(event.index, { id: event.content_block.id, name: event.content_block.name, json: '' })
        if (event.content_block.type === 'text' && this.#textBlocks++ > 0) yield { type: 'text_delta', text: '\n\n' }
        return
      case 'content_block_delta':
        if (event.delta.type === 'text_delta') yield { type: 'text_delta', text: event.delta.text }
        else yield { type: 'progress' }
        if (event.delta.type === 'input_json_delta') this.#argument(event.index, event.delta.partial_json)
        return
      case 'content_block_stop':
        yield* this.#callDone(event.index)
        return
      case 'message_delta':
        this.#stop = event.delta.stop_reason
        this.#tokens.outputTokens = event.usage.output_tokens
        return
      case 'message_stop':
        this.#ended = true
    }
  }

  *end(): Generator<PartEvent> {
    if (!this.#ended) throw new VendorError('cut', { requestId: this.#requestId })
    const outcome = (this.#stop && OUTCOMES[this.#stop]) || 'ok'
    yield { type: 'call_end', outcome, tokens: this.#tokens }
    yield { type: 'answer', outcome }
  }

  /** Anthropic counts cache reads and writes beside `input_tokens`, not inside (prompt caching guide); we count all input. */
  #started(usage: Anthropic.Usage): void {
    const cached = usage.cache_read_input_tokens ?? 0
    this.#tokens.cachedInputTokens = cached
    this.#tokens.inputTokens = usage.input_tokens + cached + (usage.cache_creation_input_tokens ?? 0)
    this.#tokens.outputTokens = usage.output_tokens
  }

  #argument(index: number, json: string): void {
    const call = this.#calls.get(index)
    if (!call) throw new VendorError('garbage', { requestId: this.#requestId })
    call.json += json
  }

  *#callDone(index: number): Generator<PartEvent> {
    const call = this.#calls.get(index)
    if (call) yield { type: 'tool_call', callId: call.id, name: call.name, argumentsJson: call.json || '{}' }
  }
}
