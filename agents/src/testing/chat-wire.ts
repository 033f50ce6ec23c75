import { piecesOf } from './openai-wire.ts'
import { openStream } from './server.ts'
import type { Step } from './server.ts'

export type ChatOptions = {
  calls?: { name: string; arguments: unknown; id?: string }[]
  finish?: 'stop' | 'length' | 'content_filter' | 'tool_calls'
  /** Groq tells usage under `x_groq`, the others in a last chunk without choices. */
  groq?: boolean
  /** End the stream after the text, without a finish reason. */
  cut?: boolean
}

/** One chat completion as chunks. */
export const chatText =
  (text: string, options: ChatOptions = {}): Step =>
  (response, request) => {
    const stream = openStream(response)
    const base = { id: 'chatcmpl_1', object: 'chat.completion.chunk', created: 1_790_000_000, model: request.body.model }
    const chunk = (delta: Record<string, unknown>, finish: string | null = null, more: Record<string, unknown> = {}) => stream.send({ ...base, choices: [{ index: 0, delta, finish_reason: finish }], ...more })
    const usage = { prompt_tokens: 11, completion_tokens: 5, total_tokens: 16 }
    chunk({ role: 'assistant', content: '' })
    for (const piece of piecesOf(text, 3)) chunk({ content: piece })
    for (const [index, call] of (options.calls ?? []).entries()) {
      const [first = '', ...rest] = piecesOf(JSON.stringify(call.arguments), 2)
      chunk({ tool_calls: [{ index, id: call.id ?? `call_${index}`, type: 'function', function: { name: call.name, arguments: first } }] })
      for (const piece of rest) chunk({ tool_calls: [{ index, function: { arguments: piece } }] })
    }
    if (options.cut) return void response.end()
    chunk({}, options.finish ?? (options.calls ? 'tool_calls' : 'stop'), options.groq ? { x_groq: { id: 'req_1', usage } } : {})
    if (!options.groq) stream.send({ ...base, choices: [], usage })
    stream.send('[DONE]')
    response.end()
  }
