import { PromptContent, newId, type Id, type ModelUsage } from '@trunkline/core'
import { runTurn, type TurnDeps } from '../turn.ts'
import type { HistoryItem } from '../history.ts'

/** Somebody who wants something, played by the agent's own model: hears words, says words, and knows when to hang up. */
export type GoalCaller = { next(heard: string, signal: AbortSignal): Promise<{ say: string; hangUp: boolean }> }

export type GoalDeps = TurnDeps & { onUsage: (usage: ModelUsage) => void }
export type GoalPlace = { tenantId: Id; conversationId: Id; goal: string; model: Pick<PromptContent, 'vendor' | 'model' | 'fallback'> }

const ROLE = [
  'You play a person who has rung a business and talks with its receptionist on the telephone. You are the caller, never the receptionist.',
  'Say one or two short sentences at a time, as people speak. Answer what you are asked; invent harmless details where you have none.',
  'When you have what you want, or it is clear that you will not get it, say goodbye and use end_conversation.',
]
const SILENCE = '(silence)'

/** What the agent says is what this model is told, and the other way round. */
export function createGoalCaller({ tenantId, conversationId, goal, model }: GoalPlace, { onUsage, ...deps }: GoalDeps): GoalCaller {
  const prompt = PromptContent.parse({ ...model, instructions: [...ROLE, `What you want: ${goal}`].join('\n'), maxOutputTokens: 200, tools: [{ type: 'builtin', name: 'end_conversation' }] })
  const history: HistoryItem[] = []
  let vendorState: Awaited<ReturnType<typeof runTurn>>['vendorState'] | null = null
  return {
    async next(heard, signal) {
      const incoming: HistoryItem = { messageId: newId(), role: 'customer', text: heard === '' ? SILENCE : heard, atMs: deps.clock.nowMs() }
      const input = { tenantId, conversationId, turnId: newId(), prompt, history: [...history], incoming: [incoming], vendorState, channel: 'voice', contact: {}, nowMs: deps.clock.nowMs(), signal }
      const result = await runTurn(input, deps)
      vendorState = result.vendorState
      result.usage.forEach(onUsage)
      const say = result.replies.flatMap((reply) => (reply.kind === 'text' ? [reply.text] : [])).join(' ')
      history.push(incoming, { messageId: newId(), role: 'agent', text: say, atMs: deps.clock.nowMs() })
      return { say, hangUp: result.effects.some(({ type }) => type === 'end_conversation') }
    },
  }
}
