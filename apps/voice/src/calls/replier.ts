import { runTurn, TurnAborted, type Breakers, type HistoryItem, type HttpToolPort, type TurnDeps, type TurnResult } from '@trunkline/agents'
import { newId, type Clock, type Id, type Logger, type PromptContent } from '@trunkline/core'
import type { Replier, ReplyEnd, ReplyRun } from '@trunkline/media'

/** What the model knows of the call; asked for at each turn, since the caller's words grow it. */
export type CallFacts = {
  tenantId: Id
  conversationId: Id
  contact: { id: Id; name?: string }
  /** Everything before this turn, oldest first: of ours only what was heard. */
  history(): HistoryItem[]
}

export type ReplierDeps = {
  vendors: TurnDeps['vendors']
  tools: HttpToolPort
  breakers: Breakers
  clock: Clock
  log: Logger
  /** What a turn has cost, answered or not. */
  onSpent(turn: number, spent: Pick<TurnResult, 'usage' | 'toolCalls'>): void
  onResult(turn: number, result: TurnResult): void
}

/** The same agents that answer messages, with their words going out as they come. */
export function createReplier(prompt: PromptContent, facts: CallFacts, deps: ReplierDeps): Replier {
  // A cache of the vendor's own; kept over the turns of this call only.
  let vendorState: Record<string, Record<string, unknown>> | null = null
  return async (run) => {
    const nowMs = deps.clock.nowMs()
    let spoken = false
    try {
      const result = await runTurn(
        {
          tenantId: facts.tenantId, conversationId: facts.conversationId, turnId: `${facts.conversationId}:${run.turn}`, prompt: forSpeech(prompt),
          history: facts.history(), incoming: [{ messageId: newId(), role: 'customer', text: run.text, atMs: nowMs }],
          vendorState, channel: 'voice', contact: facts.contact, nowMs, signal: run.signal,
        },
        {
          vendors: deps.vendors, tools: deps.tools, clock: deps.clock, log: deps.log, breakers: deps.breakers,
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
      vendorState = result.vendorState
      deps.onSpent(run.turn, result)
      // The rules' answer, and what is said instead of a refusal, come whole.
      if (!spoken) sayWhole(run, result)
      deps.onResult(run.turn, result)
      return endOf(result)
    } catch (error) {
      if (error instanceof TurnAborted) deps.onSpent(run.turn, error.spent)
      throw error
    }
  }
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
