import { piecesOf } from './openai-wire.ts'
import { openStream } from './server.ts'
import type { Step } from './server.ts'

export type AnthropicOptions = {
  calls?: { name: string; input: unknown; id?: string }[]
  stop?: 'end_turn' | 'max_tokens' | 'tool_use' | 'refusal'
  /** An `error` event in mid-stream instead of the end. */
  errorType?: string
}

/** One message as Anthropic streams it, ping included. */
export const anthropicText =
  (text: string, options: AnthropicOptions = {}): Step =>
  (response, request) => {
    const stream = openStream(response)
    const send = (event: { type: string } & Record<string, unknown>) => stream.send(event, event.type)
    const usage = { input_tokens: 9, cache_read_input_tokens: 4, cache_creation_input_tokens: 1, output_tokens: 1 }
    send({ type: 'message_start', message: { id: 'msg_1', type: 'message', role: 'assistant', model: request.body.model, content: [], stop_reason: null, stop_sequence: null, usage } })
    send({ type: 'ping' })
    let index = 0
    if (text) {
      send({ type: 'content_block_start', index, content_block: { type: 'text', text: '' } })
      for (const piece of piecesOf(text, 3)) send({ type: 'content_block_delta', index, delta: { type: 'text_delta', text: piece } })
      send({ type: 'content_block_stop', index: index++ })
    }
    for (const call of options.calls ?? []) {
      send({ type: 'content_block_start', index, content_block: { type: 'tool_use', id: call.id ?? `toolu_${index}`, name: call.name, input: {} } })
      for (const piece of piecesOf(JSON.stringify(call.input), 2)) send({ type: 'content_block_delta', index, delta: { type: 'input_json_delta', partial_json: piece } })
      send({ type: 'content_block_stop', index: index++ })
    }
    if (options.errorType) {
      send({ type: 'error', error: { type: options.errorType, message: 'scripted' } })
      return void response.end()
    }
    send({ type: 'message_delta', delta: { stop_reason: options.stop ?? (options.calls ? 'tool_use' : 'end_turn'), stop_sequence: null }, usage: { output_tokens: 12 } })
    send({ type: 'message_stop' })
    response.end()
  }
