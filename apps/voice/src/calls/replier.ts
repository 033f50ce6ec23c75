import { runTurn, TurnAborted, type Breakers, type HistoryItem, type HttpToolPort, type TurnDeps, type TurnResult } from '@trunkline/agents'
import { newId, type Clock, type Id, type Logger, type PromptContent } from '@trunkline/core'
import type { Replier, ReplyEnd, ReplyRun } from '@trunkline/media'

/** What the model knows of the call; asked for at each turn, since the caller's words grow it. */
export type CallFacts = {
  tenantId: Id
  conversationId: Id
  callId: Id
  contact: { id: Id; name?: string; known?: Record<string, string> }
  /** Everything so far, oldest first: of ours only what was heard. The caller's words of the present turn may be among it. */
  history(): HistoryItem[]
}

export type ReplierDeps = {
  vendors: TurnDeps['vendors']
  tools: HttpToolPort
  breakers: Breakers
  clock: Clock
  log: Logger
  /** What a turn has used, answered or not. `billed` false: it was thought of too early and never spoken. */
  onSpent: (turn: number, spent: Pick<TurnResult, 'usage' | 'toolCalls'>, billed: boolean) => void
  /** Of turns that were not discarded. */
  onResult: (turn: number, result: TurnResult) => void
}

/** The same agents that answer messages, with their words going out as they come. */
export function createReplier(prompt: PromptContent, facts: CallFacts, deps: ReplierDeps): Replier {
  // A cache of the vendor's own; kept over the turns of this call only.
  let vendorState: Record<string, Record<string, unknown>> | null = null
  return async (run) => {
    const nowMs = deps.clock.nowMs()
    let spoken = false
    const spent = (used: Pick<TurnResult, 'usage' | 'toolCalls'>) => void run.fate.then((fate) => deps.onSpent(run.turn, used, fate === 'spoken'))
    try {
      const result = await runTurn(
        {
          tenantId: facts.tenantId, conversationId: facts.conversationId, turnId: `${facts.callId}:${run.turn}`, prompt: forSpeech(prompt),
          history: before(facts.history(), run.text), incoming: [{ messageId: newId(), role: 'customer', text: run.text, atMs: nowMs }],
          vendorState, channel: 'voice', contact: facts.contact, nowMs, signal: run.signal,
        },
        {
          vendors: deps.vendors, tools: committed(deps.tools, run), clock: deps.clock, log: deps.log, breakers: deps.breakers,
          onTools: (running) => run.onTool(running),
          onDelta: (delta) => {
            if (delta.kind === 'discard') {
              spoken = false
              return run.onDiscard()
            }
            spoken = true
            run.onText(delta.text)
          },
        },
      )
      spent(result)
      void run.fate.then((fate) => {
        if (fate === 'discarded') return
        vendorState = result.vendorState
        deps.onResult(run.turn, result)
      })
      // The rules' answer, and what is said instead of a refusal, come whole.
      if (!spoken) sayWhole(run, result)
      return endOf(result)
    } catch (error) {
      if (error instanceof TurnAborted) spent(error.spent)
      throw error
    }
  }
}

/** Tools change the world outside: they wait until the reply that calls them is certain to be spoken. */
const committed = (tools: HttpToolPort, run: ReplyRun): HttpToolPort => async (call, signal) => {
  if ((await run.fate) === 'discarded') return { ok: false, output: '{"error":"discarded"}', fault: 'discarded', status: null }
  return tools(call, signal)
}

/** The history without the words that the turn itself is about: the latest of the caller's that end its text. */
export function before(history: readonly HistoryItem[], text: string): HistoryItem[] {
  let rest = text.trim()
  return history
    .toReversed()
    .filter((item) => {
      if (rest === '' || item.role !== 'customer' || !rest.endsWith(item.text)) return true
      rest = rest.slice(0, -item.text.length).trimEnd()
      return false
    })
    .toReversed()
}

function sayWhole(run: ReplyRun, { replies }: TurnResult): void {
  run.onText(replies.flatMap((reply) => (reply.kind === 'text' ? [reply.text] : [])).join(' '))
}

function endOf({ effects }: TurnResult): ReplyEnd {
  if (effects.some((effect) => effect.type === 'handover')) return 'transfer'
  return effects.some((effect) => effect.type === 'end_conversation') ? 'hang_up' : 'listen'
}

const SPEECH_RULES =
  'You are on the telephone. Speak: short sentences, one question at a time, no lists, no markdown, no emoji, no addresses of web pages. Numbers as one says them.'

const forSpeech = (prompt: PromptContent): PromptContent => ({ ...prompt, instructions: `${prompt.instructions}\n\n${SPEECH_RULES}` })
