import { askChain, DEADLINES, type Answer, type Breakers, type Deadlines, type Delta, type ModelItem, type ModelRequest, type Link } from '@trunkline/agents'
import type { realtime } from '@trunkline/channels'
import type { Clock, Logger, ModelUsage } from '@trunkline/core'
import { createEncoder, durationMs, type Encoder, type Pcm, type SampleRateHz, type SpeechUsage, type TtsEngine, type TtsStream } from '@trunkline/media'
import { tokensOf, type Admission, type Allowance } from './allowance.ts'
import { plainFormat } from './input-sound.ts'
import type { Held, Purse, Ticket } from './purse.ts'

export type ResponseDeps = {
  /** Who answers, in this order: the next begins anew where one fails. */
  links: readonly Link[]
  breakers: Breakers
  allowance: Allowance
  tts: (onUsage: (usage: SpeechUsage) => void) => TtsEngine
  /** What is already known of the conversation, asked for when the model is. */
  view(request: realtime.ResponseRequest): Promise<readonly realtime.ViewItem[]>
  tell(happening: realtime.Happening): void
  purse: Purse
  clock: Clock
  log: Logger
  /** Where we play it ourselves. Resolves when more may come. */
  play?: ((pcm: Pcm, rateHz: SampleRateHz) => Promise<void>) | undefined
}

const MAX_TOKENS = 4_096
/** Where nobody is behind a model, giving up on it early helps nobody. */
const ALONE: Deadlines = { ...DEADLINES, firstTokenMs: 20_000, failoverMs: 20_000, stallMs: 10_000 }

export const NO_CREDIT: realtime.Fault = { type: 'invalid_request_error', code: 'insufficient_credit', message: 'The credit balance does not cover this.' }

const NO_ANSWER: realtime.Fault = { type: 'server_error', code: 'model_failed', message: 'The model did not answer.' }
const tooMany = (retryAfterMs: number): realtime.Fault => ({ type: 'invalid_request_error', code: 'rate_limit_exceeded', message: `Too many requests. Try again in ${Math.ceil(retryAfterMs / 1_000)} s.` })

type SpokenPart = { stream: TtsStream; spoken: Promise<void> }

/** One response: the model's words, their sound, its calls. Ends with one of finished, incomplete or failed; nothing comes after `cancel`. */
export class ResponseRun {
  /** Resolves when it is over and paid for; never rejects. */
  readonly done: Promise<void>
  readonly #request: realtime.ResponseRequest
  readonly #deps: ResponseDeps
  readonly #stop = new AbortController()
  /** That of the answer's words now; those that were taken back have theirs in `#voices` only. */
  #voice: SpokenPart | null = null
  readonly #voices: Promise<void>[] = []
  #fault: realtime.Fault | null = null
  /** What its voices said, cut off or not. */
  readonly #spoken: SpeechUsage[] = []

  constructor(request: realtime.ResponseRequest, deps: ResponseDeps) {
    this.#request = request
    this.#deps = deps
    this.done = this.#run()
  }

  cancel(): void {
    this.#stop.abort()
    this.#voice?.stream.close()
  }

  async #run(): Promise<void> {
    const { responseId } = this.#request
    let ticket: Ticket | null = null
    let spent: readonly ModelUsage[] = []
    try {
      const admission = await this.#deps.allowance.take()
      const held = admission.allowed ? await this.#hold() : null
      ticket = held?.ticket ?? null
      this.#tellLimits(admission, held)
      if (!ticket) return this.#tell({ type: 'response_failed', responseId, fault: held ? NO_CREDIT : tooMany(admission.retryAfterMs) })
      const { answer, usage } = await this.#ask(itemsOf(await this.#deps.view(this.#request)))
      spent = usage
      // While the last words are still being spoken, a client may already do what it is to do.
      for (const call of answer?.calls ?? []) this.#call(call)
      if (this.#voice) {
        this.#voice.stream.end()
        await this.#voice.spoken
      }
      if (!this.#stop.signal.aborted) this.#finish(answer, measuredOf(usage))
    } catch {
      this.#tell({ type: 'response_failed', responseId, fault: { type: 'server_error', code: 'internal_error', message: 'The response could not be made.' } })
    } finally {
      await this.#hush()
      if (ticket) await this.#deps.purse.settle(ticket, { models: spent, speech: this.#spoken }).catch((error: unknown) => this.#deps.log.error({ error, holdId: ticket?.holdId }, 'a realtime response was not charged: its hold expires'))
    }
  }

  #hold(): Promise<Held> {
    return this.#deps.purse.hold({ maxOutputTokens: this.#maxTokens(), spoken: this.#request.modality === 'audio' })
  }

  /** The first thing said of a response after its creation, as OpenAI does. */
  #tellLimits({ requests }: Admission, held: Held | null): void {
    const tokens = held && tokensOf(held.credit, this.#deps.links, this.#deps.clock.nowMs())
    const limits = [requests, tokens].filter((limit) => limit !== null)
    if (limits.length > 0) this.#tell({ type: 'rate_limits', limits })
  }

  #finish(answer: Answer | null, measured: ReturnType<typeof measuredOf>): void {
    const { responseId } = this.#request
    if (this.#fault || !answer) return this.#tell({ type: 'response_failed', responseId, fault: this.#fault ?? NO_ANSWER, measured })
    if (answer.outcome === 'incomplete') this.#tell({ type: 'response_incomplete', responseId, reason: 'max_output_tokens', measured })
    else if (answer.outcome === 'refused') this.#tell({ type: 'response_incomplete', responseId, reason: 'content_filter', measured })
    else this.#tell({ type: 'response_finished', responseId, measured })
  }

  /** A voice that was cut off, or whose model failed, has still said what it said. */
  async #hush(): Promise<void> {
    this.#voice?.stream.close()
    await Promise.allSettled(this.#voices)
  }

  #maxTokens(): number {
    const { maxOutputTokens } = this.#request
    return maxOutputTokens === 'inf' ? MAX_TOKENS : maxOutputTokens
  }

  #ask(items: ModelItem[]): Promise<{ answer: Answer | null; usage: readonly ModelUsage[] }> {
    const { links, breakers, clock, log } = this.#deps
    const onDelta = (delta: Delta): void => (delta.kind === 'text' ? this.#text(delta.text) : this.#withdraw())
    return askChain(({ model }) => this.#modelRequest(model, items), links, 0, { clock, breakers, log, onDelta, deadlines: links.length > 1 ? DEADLINES : ALONE }, this.#stop.signal)
  }

  #modelRequest(model: string, items: ModelItem[]): ModelRequest {
    const { instructions, tools, toolChoice } = this.#request
    return {
      purpose: 'turn', model, instructions, items, remember: false,
      tools: tools.map(({ name, description, parameters }) => ({ name, description: description ?? '', parameters: parameters as Record<string, unknown> })),
      ...(toolChoice === 'none' ? { toolChoice } : {}),
      maxOutputTokens: this.#maxTokens(),
    }
  }

  #text(text: string): void {
    const { responseId, modality } = this.#request
    if (modality === 'text') return this.#tell({ type: 'text_delta', responseId, delta: text })
    this.#tell({ type: 'speech_text', responseId, delta: text })
    this.#voice ??= this.#speak()
    this.#voice.stream.write(text)
  }

  /** The answer begins anew: what its client has of it is taken back, and its voice falls silent. */
  #withdraw(): void {
    this.#voice?.stream.close()
    this.#voice = null
    this.#tell({ type: 'message_withdrawn', responseId: this.#request.responseId })
  }

  #call({ callId, name, argumentsJson }: { callId: string; name: string; argumentsJson: string }): void {
    this.#tell({ type: 'call_done', responseId: this.#request.responseId, callId: callId.replaceAll(/[^A-Za-z0-9_-]/g, '').slice(0, 64), name, arguments: argumentsJson })
  }

  #speak(): SpokenPart {
    const { voice, speed, format } = this.#request
    const plain = plainFormat(format)
    const stream = this.#deps.tts((usage) => this.#spoken.push(usage)).speak({ voice, speed, language: null, sampleRateHz: plain.sampleRateHz, signal: this.#stop.signal })
    const spoken = this.#carry(stream, createEncoder(plain)).finally(() => stream.close())
    spoken.catch(() => {})
    this.#voices.push(spoken)
    return { stream, spoken }
  }

  async #carry(stream: TtsStream, encoder: Encoder): Promise<void> {
    const { responseId } = this.#request
    for await (const event of stream.events) {
      if (this.#voice?.stream !== stream) return
      if (event.type === 'audio') {
        this.#tell({ type: 'speech_audio', responseId, audio: encoder.encode(event.pcm), ms: durationMs(event.pcm, encoder.format.sampleRateHz) })
        if (!this.#stop.signal.aborted) await this.#deps.play?.(event.pcm, encoder.format.sampleRateHz)
      }
      else if (event.type === 'spans') this.#tell({ type: 'speech_words', responseId, spans: event.spans.map(({ charEnd, endMs }) => ({ charEnd, endMs })) })
      else if (event.type === 'failed') this.#fault = { type: 'server_error', code: 'speech_failed', message: 'The voice failed.' }
    }
  }

  #tell(happening: realtime.Happening): void {
    if (!this.#stop.signal.aborted) this.#deps.tell(happening)
  }
}

/** The protocol's conversation in the words of our vendors. What was said and is not written down yet is left out. */
function itemsOf(view: readonly realtime.ViewItem[]): ModelItem[] {
  return view.flatMap((item): ModelItem[] => {
    if (item.type === 'function_call') return [{ type: 'tool_call', callId: item.callId, name: item.name, argumentsJson: item.arguments }]
    if (item.type === 'function_call_output') return [{ type: 'tool_output', callId: item.callId, output: item.output }]
    const text = item.parts.map((part) => (part.type === 'text' ? part.text : part.type === 'audio' ? (part.transcript ?? '') : '')).join(' ').trim()
    return text === '' ? [] : [{ type: 'message', role: item.role, text }]
  })
}

function measuredOf(usage: readonly ModelUsage[]): { inputText: number; cachedText: number; outputText: number } {
  const sum = (read: (one: ModelUsage) => number) => usage.reduce((total, one) => total + read(one), 0)
  return { inputText: sum((one) => one.inputTokens), cachedText: sum((one) => one.cachedInputTokens), outputText: sum((one) => one.outputTokens) }
}
