import { hash } from 'node:crypto'
import type { Clock, Logger, ModelUsage, OutboundContent, PromptContent, VendorId } from '@trunkline/core'
import { readContext } from './context.ts'
import type { Context } from './context.ts'
import { toModelItems } from './history.ts'
import type { HistoryItem, Summary } from './history.ts'
import { buildInstructions, variablesOf } from './instructions.ts'
import type { ConversationFacts } from './instructions.ts'
import type { LeadQuestion } from './rules/phrases.ts'
import { PHRASES } from './rules/phrases.ts'
import { languageOf, respondByRules } from './rules/respond.ts'
import { ToolBelt } from './tools/belt.ts'
import type { ToolRecord } from './tools/belt.ts'
import type { Effect } from './tools/built-in.ts'
import type { HttpToolPort } from './tools/http.ts'
import type { Breakers } from './vendors/breaker.ts'
import { askChain } from './vendors/chain.ts'
import type { Answer, Deadlines, Delta, Link, Skipped } from './vendors/chain.ts'
import type { ModelItem, ModelRequest, Recovery, Vendor, VendorState } from './vendors/contract.ts'
import type { RemoteVendorId } from './vendors/index.ts'

export type TurnInput = {
  tenantId: string
  conversationId: string
  /** Stable over retries of the same turn: tools' idempotency keys are made of it. */
  turnId: string
  prompt: PromptContent
  /** The archive, oldest first; the truth. Either all of it or at least what follows `summary`. */
  history: readonly HistoryItem[]
  /** The coalesced messages of this turn. */
  incoming: readonly HistoryItem[]
  summary?: Summary | null
  /** What the last turn returned; by vendor. */
  vendorState: Record<string, VendorState> | null
  channel?: string
  contact: { id?: string; name?: string; known?: Partial<Record<LeadQuestion, string>> }
  nowMs: number
  signal: AbortSignal
}

export type TurnDeps = {
  /** null: this tenant has no key for the vendor; it is skipped. */
  vendors: (vendor: RemoteVendorId, tenantId: string) => Vendor | null | Promise<Vendor | null>
  tools: HttpToolPort
  clock: Clock
  log: Logger
  breakers: Breakers
  deadlines?: Deadlines
  /** Live text; see `Delta`. Text channels leave it out and get whole replies only. */
  onDelta?: (delta: Delta) => void
  /** Tools begin and end to run: whoever listens live may say something meanwhile. */
  onTools?: (running: boolean) => void
}

export type TurnResult = {
  replies: OutboundContent[]
  effects: Effect[]
  usage: ModelUsage[]
  vendorState: Record<string, VendorState>
  recoveries: (Recovery & { vendor: VendorId })[]
  toolCalls: ToolRecord[]
  answeredBy: { vendor: VendorId; model: string }
  skippedVendors: Skipped[]
  refused: boolean
  /** Set when a new summary was made: to be stored and given to the next turns. */
  summary: Summary | null
}

/** The signal fired: nothing of the turn may be shown. What was spent and called is told, for the ledger and the archive. */
export class TurnAborted extends Error {
  readonly spent: Pick<TurnResult, 'usage' | 'toolCalls' | 'vendorState'>

  constructor(spent: TurnAborted['spent']) {
    super('The turn was aborted')
    this.name = 'TurnAborted'
    this.spent = spent
  }
}

/**
 * One exchange: reads the context, asks the vendors in order, runs tools, and always has an answer: when no vendor has one, the rules do.
 * Does not store, send or charge anything. Throws only TurnAborted.
 */
export async function runTurn(input: TurnInput, deps: TurnDeps): Promise<TurnResult> {
  const run = new Run(input, deps)
  const links = await run.links()
  const context = await readContext({ ...input, summary: input.summary ?? null }, links, deps, input.signal)
  run.result.usage.push(...context.usage)
  run.result.summary = context.compressed ? context.summary : null
  const answer = links.length > 0 ? await run.converse(links, context) : null
  run.throwIfAborted()
  if (answer) run.speak(answer, context)
  else run.fallBack(context)
  return run.result
}

class Run {
  readonly result: TurnResult
  readonly #input: TurnInput
  readonly #deps: TurnDeps
  readonly #belt: ToolBelt
  #links: readonly Link[] = []

  constructor(input: TurnInput, deps: TurnDeps) {
    this.#input = input
    this.#deps = deps
    this.#belt = new ToolBelt(input.prompt.tools, { tenantId: input.tenantId, turnId: input.turnId, http: deps.tools, clock: deps.clock })
    this.result = {
      replies: [],
      effects: this.#belt.effects,
      usage: [],
      vendorState: { ...input.vendorState },
      recoveries: [],
      toolCalls: this.#belt.records,
      answeredBy: { vendor: 'rules', model: 'rules' },
      skippedVendors: [],
      refused: false,
      summary: null,
    }
  }

  /** The vendors that this tenant can use, in the prompt's order. */
  async links(): Promise<readonly Link[]> {
    const { prompt, tenantId } = this.#input
    const links: Link[] = []
    for (const { vendor: id, model } of [prompt, prompt.fallback].filter((entry) => entry !== undefined)) {
      // `rules` as a vendor is the end of the chain: what is listed behind it is never reached.
      if (id === 'rules') break
      const vendor = await this.#deps.vendors(id, tenantId)
      if (vendor) links.push({ vendor, model })
      else this.result.skippedVendors.push({ vendor: id, model, reason: 'no_vendor', failure: null })
    }
    this.#links = links
    return links
  }

  /** Model, tools, model, ... until it speaks. A vendor that fails on the way is followed by the next with all outputs so far: no tool runs twice. */
  async converse(links: readonly Link[], context: Context): Promise<Answer | null> {
    const { prompt, signal } = this.#input
    const items = [...toModelItems(context.items, context.summary), ...toModelItems(this.#input.incoming, null)]
    const base = this.#baseRequest()
    let from = 0
    for (let step = 0; ; step++) {
      const last = step >= prompt.maxToolSteps
      const answer = await this.#ask(links, from, { ...base, items, ...(last ? { toolChoice: 'none' as const } : {}) })
      if (!answer || answer.calls.length === 0 || signal.aborted) return answer
      from = answer.index
      if (last) return this.#outOfSteps(answer)
      // What is said beside a call ("let me check") is not the answer; a live listener takes it back.
      if (answer.text) this.#deps.onDelta?.({ kind: 'discard' })
      items.push(...(await this.#runTools(answer)))
      if (signal.aborted) return null
    }
  }

  async #ask(links: readonly Link[], from: number, request: Omit<ModelRequest, 'model'>): Promise<Answer | null> {
    const legacy = this.#input.prompt.legacyPrompt
    const asked = await askChain(
      (link) => ({
        ...request,
        model: link.model,
        vendorState: this.result.vendorState[link.vendor.id] ?? null,
        // A prompt object exists at OpenAI only, and stands for the prompt's own model.
        ...(legacy && link === links[0] && link.vendor.id === 'openai' ? { legacyPrompt: legacy } : {}),
      }),
      links,
      from,
      this.#deps,
      this.#input.signal,
    )
    this.result.usage.push(...asked.usage)
    this.result.recoveries.push(...asked.recoveries)
    this.result.skippedVendors.push(...asked.skipped)
    this.#rememberState(links, asked.skipped, asked.answer)
    return asked.answer
  }

  /** A call that failed or was cut off may have reached the vendor's memory or not: that memory is given up, the archive rebuilds it. */
  #rememberState(links: readonly Link[], skipped: readonly Skipped[], answer: Answer | null): void {
    for (const { vendor, reason } of skipped) if (reason !== 'breaker_open') delete this.result.vendorState[vendor]
    if (!answer) return
    const id = links[answer.index]!.vendor.id
    if (answer.state) this.result.vendorState[id] = answer.state
    else delete this.result.vendorState[id]
  }

  async #runTools(answer: Answer): Promise<ModelItem[]> {
    const said: ModelItem[] = answer.text.trim() ? [{ type: 'message', role: 'assistant', text: answer.text.trim(), phase: 'commentary' }] : []
    const calls = answer.calls.map((call) => ({ type: 'tool_call' as const, ...call }))
    this.#deps.onTools?.(true)
    const records = await this.#belt.run(answer.calls, this.#input.signal)
    this.#deps.onTools?.(false)
    return [...said, ...calls, ...records.map(({ callId, output }) => ({ type: 'tool_output' as const, callId, output }))]
  }

  /** It called although it was told not to: the calls are not run, and the vendor's memory with its open calls is left behind. */
  #outOfSteps(answer: Answer): Answer | null {
    delete this.result.vendorState[this.#links[answer.index]!.vendor.id]
    return answer.text.trim() ? { ...answer, calls: [] } : null
  }

  #baseRequest(): Omit<ModelRequest, 'model' | 'items'> {
    const { prompt, tenantId, conversationId, turnId, contact } = this.#input
    const facts = this.#facts()
    return {
      purpose: 'turn',
      instructions: buildInstructions(prompt, facts),
      tools: prompt.maxToolSteps > 0 ? this.#belt.definitions : [],
      temperature: prompt.temperature,
      maxOutputTokens: prompt.maxOutputTokens,
      remember: true,
      safetyIdentifier: hash('sha256', `${tenantId}|${contact.id ?? conversationId}`).slice(0, 64),
      cacheKey: hash('sha256', `${tenantId}|${prompt.instructions}`).slice(0, 32),
      metadata: { conversation_id: conversationId, turn_id: turnId },
      ...(prompt.legacyPrompt ? { promptVariables: { ...prompt.variables, ...pick(variablesOf(prompt, facts), prompt.variables) } } : {}),
    }
  }

  #facts(): ConversationFacts {
    const { contact, channel, nowMs } = this.#input
    const known = Object.fromEntries(Object.entries(contact.known ?? {}).filter(([field, value]) => value && field !== 'name')) as Record<string, string>
    return { channel, contactName: contact.name ?? contact.known?.name, known, nowMs }
  }

  throwIfAborted(): void {
    if (!this.#input.signal.aborted) return
    const { usage, toolCalls } = this.result
    // Which call was cut off is known only to the vendor: its memory is given up.
    throw new TurnAborted({ usage, toolCalls, vendorState: {} })
  }

  speak(answer: Answer, context: Context): void {
    const link = this.#links[answer.index]!
    this.result.answeredBy = { vendor: link.vendor.id, model: link.model }
    this.result.refused = answer.outcome === 'refused'
    const text = answer.outcome === 'refused' ? this.#politeRefusal(context) : answer.outcome === 'incomplete' ? wholeSentences(answer.text) : answer.text.trim()
    this.result.replies.push({ kind: 'text', text: text.slice(0, 65_536) })
  }

  #politeRefusal(context: Context): string {
    return PHRASES[languageOf([...context.whole, ...this.#input.incoming], this.#input.prompt.rules)].refusal
  }

  /** The rules answer. When a tool has already handed the conversation over, they only say so. */
  fallBack(context: Context): void {
    const { prompt, incoming, contact, nowMs } = this.#input
    const startMs = this.#deps.clock.nowMs()
    const known = { ...contact.known, ...(contact.name ? { name: contact.known?.name ?? contact.name } : {}) }
    const handedOver = this.#belt.effects.some((effect) => effect.type === 'handover')
    const answer = respondByRules({ rules: prompt.rules, history: context.whole, incoming, known, nowMs, standIn: prompt.vendor !== 'rules' })
    this.result.replies.push({ kind: 'text', text: handedOver ? PHRASES[answer.language].handover : answer.text })
    if (!handedOver) this.#belt.effects.push(...answer.effects)
    this.result.usage.push(rulesUsage(this.#deps.clock.nowMs() - startMs))
  }
}

const pick = (from: Record<string, string>, keys: Record<string, string>) => Object.fromEntries(Object.keys(keys).map((key) => [key, from[key] ?? '']))

/** An answer cut off by the token limit ends with its last whole sentence, if that is most of it. */
function wholeSentences(text: string): string {
  const trimmed = text.trim()
  const end = Math.max(...['. ', '! ', '? ', '.\n', '!\n', '?\n'].map((mark) => trimmed.lastIndexOf(mark)))
  if (/[.!?]$/.test(trimmed)) return trimmed
  return end >= trimmed.length / 2 ? trimmed.slice(0, end + 1) : `${trimmed}…`
}

const rulesUsage = (latencyMs: number): ModelUsage => ({
  vendor: 'rules',
  model: 'rules',
  purpose: 'turn',
  inputTokens: 0,
  cachedInputTokens: 0,
  outputTokens: 0,
  latencyMs,
  firstTokenMs: null,
  outcome: 'ok',
  requestId: null,
})
