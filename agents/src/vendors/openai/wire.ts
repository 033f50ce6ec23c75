import type OpenAI from 'openai'
import type { ModelItem, ModelRequest } from '../contract.ts'

type Params = OpenAI.Responses.ResponseCreateParamsStreaming

/** Our request in the words of the Responses API. `conversationId` null: the call stands alone. */
export function toResponsesParams(request: ModelRequest, input: readonly ModelItem[], conversationId: string | null): Params {
  return {
    stream: true,
    ...identity(request),
    input: input.map(toInputItem),
    ...(conversationId ? { conversation: conversationId } : {}),
    ...(request.tools.length > 0 ? { tools: request.tools.map(toFunctionTool), parallel_tool_calls: true } : {}),
    ...(request.toolChoice && request.tools.length > 0 ? { tool_choice: request.toolChoice } : {}),
    max_output_tokens: request.maxOutputTokens,
    ...(request.temperature === undefined || request.legacyPrompt ? {} : { temperature: request.temperature }),
    ...(request.responseFormat ? { text: { format: { type: 'json_schema' as const, strict: true, ...request.responseFormat } } } : {}),
    store: request.remember,
    ...(request.safetyIdentifier ? { safety_identifier: request.safetyIdentifier } : {}),
    ...(request.cacheKey ? { prompt_cache_key: request.cacheKey } : {}),
    ...(request.metadata ? { metadata: request.metadata } : {}),
  }
}

/** A legacy prompt object brings its own model and instructions; ours would override it. */
function identity(request: ModelRequest): Partial<Params> {
  if (!request.legacyPrompt) return { model: request.model, instructions: request.instructions }
  const { id, version } = request.legacyPrompt
  return { prompt: { id, ...(version ? { version } : {}), ...(request.promptVariables ? { variables: request.promptVariables } : {}) } }
}

/** `strict: false`: tenants' schemas rarely meet strict mode's rules; ajv checks the arguments before a call leaves. */
const toFunctionTool = (tool: ModelRequest['tools'][number]) => ({ type: 'function' as const, strict: false, ...tool })

function toInputItem(item: ModelItem): OpenAI.Responses.ResponseInputItem {
  switch (item.type) {
    case 'message':
      return { role: item.role, content: item.text, ...(item.phase ? { phase: item.phase } : {}) }
    case 'tool_call':
      return { type: 'function_call', call_id: item.callId, name: item.name, arguments: item.argumentsJson }
    case 'tool_output':
      return { type: 'function_call_output', call_id: item.callId, output: item.output }
  }
}
