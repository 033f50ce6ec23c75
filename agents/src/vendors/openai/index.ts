import type { Clock } from '@trunkline/core'
import OpenAI from 'openai'
import { Agent } from 'undici'
import { streamFetch } from '../../net/stream-fetch.ts'
import { ClientCache, DEFAULT_TIMEOUT_MS } from '../connection.ts'
import type { Connection } from '../connection.ts'
import { metered } from '../contract.ts'
import type { CallTokens, ModelRequest, PartEvent, Vendor } from '../contract.ts'
import { VendorError } from '../failure.ts'
import { withRecovery } from '../recover.ts'
import { planInput, stateAfter } from './conversation.ts'
import { toResponsesParams } from './wire.ts'

export const OPENAI_BASE_URL = 'https://api.openai.com/v1'

/** Vendors of OpenAI's Responses API; clients are shared by address and key. */
export function openaiVendors(clock: Clock, clientsMax: number): (connection: Connection) => Vendor {
  const clients = new ClientCache(clientsMax, buildClient)
  return (connection) => {
    const client = clients.get(connection)
    const attempt = (signal: AbortSignal) => (request: ModelRequest) => respond(client, request, signal)
    return metered(
      { id: 'openai', baseUrl: connection.baseUrl, stream: (request, signal) => withRecovery(request, signal, clock, attempt(signal)) },
      clock,
    )
  }
}

/** Connections of the process to OpenAI, or to whatever the operator has put in its place. */
const pooled = streamFetch(new Agent({ connect: { timeout: 5_000 } }))

/** Everything the SDK would read from the environment is given: a process's variables must never reach a tenant's call. */
function buildClient(connection: Connection): OpenAI {
  return new OpenAI({
    apiKey: connection.apiKey ?? 'none',
    baseURL: connection.baseUrl,
    organization: null,
    project: null,
    adminAPIKey: null,
    webhookSecret: null,
    // The SDK's retry repeats the turn without an idempotency key: it may be appended twice.
    maxRetries: 0,
    timeout: connection.timeoutMs ?? DEFAULT_TIMEOUT_MS,
    // The SDK prints bodies that it cannot parse; those are customers' words.
    logLevel: 'off',
    fetch: connection.fetch ?? pooled,
  })
}

async function* respond(client: OpenAI, request: ModelRequest, signal: AbortSignal): AsyncGenerator<PartEvent> {
  const plan = request.remember ? planInput(request.items, request.vendorState) : { conversationId: null, input: request.items }
  yield { type: 'call_start' }
  const conversationId = plan.conversationId ?? (request.remember ? await createConversation(client, request, signal) : null)
  const params = toResponsesParams(request, plan.input, conversationId)
  const { data: stream, request_id: requestId } = await client.responses.create(params, { signal }).withResponse()
  const reader = new ResponseReader(requestId)
  for await (const event of stream) yield* reader.read(event)
  yield* reader.end((text, callIds) => (conversationId ? stateAfter(conversationId, request.items, text, callIds) : null))
}

async function createConversation(client: OpenAI, request: ModelRequest, signal: AbortSignal): Promise<string> {
  const created = await client.conversations.create({ metadata: request.metadata ?? null }, { signal })
  if (typeof created.id !== 'string' || created.id === '') throw new VendorError('garbage')
  return created.id
}

type StreamEvent = OpenAI.Responses.ResponseStreamEvent
type Final = OpenAI.Responses.Response

/**
 * Reads one response's events. Order on the wire (Responses streaming reference): created, in_progress, output_item.added,
 * content_part.added, output_text.delta*, output_text.done, content_part.done, output_item.done, then completed | incomplete | failed.
 */
class ResponseReader {
  readonly #requestId: string | null
  /** Output positions whose text is not for the customer (`phase: commentary`). */
  readonly #commentary = new Set<number>()
  readonly #texts = new Map<number, string>()
  readonly #callIds: string[] = []
  #refused = false
  #final: Final | null = null

  constructor(requestId: string | null) {
    this.#requestId = requestId
  }

  *read(event: StreamEvent): Generator<PartEvent> {
    switch (event.type) {
      case 'response.output_item.added':
        if (event.item.type === 'message' && event.item.phase === 'commentary') this.#commentary.add(event.output_index)
        yield { type: 'progress' }
        return
      case 'response.function_call_arguments.delta':
      case 'response.reasoning_summary_text.delta':
        yield { type: 'progress' }
        return
      case 'response.output_text.delta':
        yield* this.#delta(event.output_index, event.delta)
        return
      case 'response.refusal.delta':
      case 'response.refusal.done':
        this.#refused = true
        return
      case 'response.output_item.done':
        yield* this.#itemDone(event.output_index, event.item)
        return
      case 'response.completed':
      case 'response.incomplete':
        this.#final = event.response
        return
      case 'response.failed':
        throw failedResponse(event.response, this.#requestId)
      // The other sixty kinds repeat these or belong to tools we do not offer.
      default:
    }
  }

  *end(state: (text: string, callIds: readonly string[]) => Record<string, unknown> | null): Generator<PartEvent> {
    if (!this.#final) throw new VendorError('cut', { requestId: this.#requestId })
    const incomplete = this.#final.status === 'incomplete'
    const outcome = this.#refused ? 'refused' : incomplete ? 'incomplete' : 'ok'
    yield { type: 'call_end', outcome, tokens: tokensOf(this.#final, this.#requestId) }
    // What an incomplete response leaves in a conversation is not documented: the next turn begins a new one.
    yield { type: 'state', state: outcome === 'ok' ? state(this.#answer(), this.#callIds) : null }
    yield { type: 'answer', outcome }
  }

  #answer(): string {
    return [...this.#texts].filter(([index]) => !this.#commentary.has(index)).map(([, text]) => text).join('\n\n')
  }

  *#delta(index: number, delta: string): Generator<PartEvent> {
    if (typeof delta !== 'string') throw new VendorError('garbage', { requestId: this.#requestId })
    const opensItem = !this.#texts.has(index) && this.#answer() !== ''
    this.#texts.set(index, (this.#texts.get(index) ?? '') + delta)
    if (!this.#commentary.has(index)) yield { type: 'text_delta', text: opensItem ? `\n\n${delta}` : delta }
  }

  *#itemDone(index: number, item: OpenAI.Responses.ResponseOutputItem): Generator<PartEvent> {
    if (item.type === 'function_call') {
      this.#callIds.push(item.call_id)
      yield { type: 'tool_call', callId: item.call_id, name: item.name, argumentsJson: item.arguments }
    }
    if (item.type === 'message') yield* this.#messageDone(index, item)
  }

  /** The phase may be known only now: commentary that was already told is taken back. */
  *#messageDone(index: number, item: OpenAI.Responses.ResponseOutputMessage): Generator<PartEvent> {
    if (item.content.some((part) => part.type === 'refusal')) this.#refused = true
    if (item.phase !== 'commentary' || this.#commentary.has(index)) return
    this.#commentary.add(index)
    if (!this.#texts.has(index)) return
    yield { type: 'discard' }
    if (this.#answer()) yield { type: 'text_delta', text: this.#answer() }
  }
}

function failedResponse(response: Final, requestId: string | null): VendorError {
  const code = response.error?.code ?? ''
  const options = { detail: code, requestId }
  if (code === 'rate_limit_exceeded') return new VendorError('rate_limited', options)
  if (code === 'invalid_prompt') return new VendorError('bad_request', options)
  if (/policy/.test(code)) return new VendorError('content_filter', options)
  return new VendorError('server_error', options)
}

function tokensOf(response: Final, requestId: string | null): CallTokens {
  return {
    inputTokens: response.usage?.input_tokens ?? 0,
    cachedInputTokens: response.usage?.input_tokens_details?.cached_tokens ?? 0,
    outputTokens: response.usage?.output_tokens ?? 0,
    requestId: requestId ?? response.id ?? null,
  }
}
