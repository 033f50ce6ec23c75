import { countTokens } from '../tokens.ts'
import type { ResponsePlan } from './request.ts'

export type Usage = { input: number; cached: number; output: number }

export type ResponseState = {
  status: 'in_progress' | 'completed' | 'incomplete' | 'failed'
  /** JSON of the output array's members. */
  output: string[]
  usage: Usage | null
  error?: { code: string; message: string }
  incompleteReason?: 'max_output_tokens' | 'content_filter'
}

/**
 * Writes the response object by hand: its unchanging parts (instructions, tools, ...) are turned to JSON once,
 * although a stream repeats them in three events.
 */
export function responseWriter(id: string, plan: ResponsePlan): (state: ResponseState) => string {
  const createdAt = Math.floor(Date.now() / 1000)
  const head = `{"id":"${id}","object":"response","created_at":${createdAt},`
  const tail = staticFields(plan)
  return ({ status, output, usage, error, incompleteReason }) => {
    const ended = status === 'completed' ? Math.floor(Date.now() / 1000) : null
    const incomplete = incompleteReason === undefined ? 'null' : `{"reason":"${incompleteReason}"}`
    return `${head}"status":"${status}","completed_at":${ended},"error":${error ? JSON.stringify(error) : 'null'},"incomplete_details":${incomplete},"output":[${output.join(',')}],"usage":${usageJson(usage)},${tail}}`
  }
}

function staticFields({ body, model, previous, conversation }: ResponsePlan): string {
  const fields = {
    background: false,
    conversation: conversation ? { id: conversation.id } : null,
    instructions: body.instructions ?? null,
    max_output_tokens: body.max_output_tokens ?? null,
    max_tool_calls: body.max_tool_calls ?? null,
    metadata: body.metadata ?? {},
    model,
    parallel_tool_calls: body.parallel_tool_calls ?? true,
    previous_response_id: previous,
    prompt: body.prompt ?? null,
    prompt_cache_key: body.prompt_cache_key ?? null,
    reasoning: body.reasoning ?? { effort: null, summary: null },
    safety_identifier: body.safety_identifier ?? null,
    service_tier: 'default',
    store: body.store ?? true,
    temperature: body.temperature ?? 1,
    text: { verbosity: 'medium', ...((body.text as object | undefined) ?? { format: { type: 'text' } }) },
    tool_choice: body.tool_choice ?? 'auto',
    tools: body.tools ?? [],
    top_logprobs: 0,
    top_p: body.top_p ?? 1,
    truncation: body.truncation ?? 'disabled',
    user: body.user ?? null,
  }
  return JSON.stringify(fields).slice(1, -1)
}

function usageJson(usage: Usage | null): string {
  if (!usage) return 'null'
  const { input, cached, output } = usage
  return `{"input_tokens":${input},"input_tokens_details":{"cached_tokens":${cached},"cache_write_tokens":0},"output_tokens":${output},"output_tokens_details":{"reasoning_tokens":0},"total_tokens":${input + output}}`
}

/** Prompts from 1,024 tokens on are cached in steps of 128, as OpenAI does it. */
export function usageOf(inputCharacters: number, outputText: string): Usage {
  const input = Math.ceil(inputCharacters / 4) + 8
  const cached = input >= 1152 ? Math.floor((input - 128) / 128) * 128 : 0
  return { input, cached, output: Math.max(1, countTokens(outputText)) }
}
