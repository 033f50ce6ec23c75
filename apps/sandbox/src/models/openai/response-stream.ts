import type { FastifyReply } from 'fastify'
import { EventStream, type StreamFault } from '../event-stream.ts'
import type { Pace } from '../pace.ts'
import { wait } from '../pace.ts'
import { chunk } from '../tokens.ts'
import type { Decided } from './decide.ts'
import { textOf } from './decide.ts'
import type { Item } from './items.ts'

type Emit = (type: string, fields: string) => void

/**
 * The event order of the Responses API: created, in_progress, for each item added, parts and deltas, done; then
 * completed, incomplete or failed. True when the client was told to the end.
 */
export async function streamResponse(decided: Decided, pace: Pace, reply: FastifyReply, fault: StreamFault): Promise<boolean> {
  const { write, state, items } = decided
  const stream = new EventStream(reply, headersOf(reply), fault)
  let sequence = 0
  const emit: Emit = (type, fields) => stream.event(type, `{"type":"${type}","sequence_number":${sequence++},${fields}}`)
  const begun = write({ status: 'in_progress', output: [], usage: null })
  emit('response.created', `"response":${begun}`)
  emit('response.in_progress', `"response":${begun}`)
  if (pace.firstTokenMs > 0) stream.flush()
  await wait(pace.firstTokenMs)
  for (const [index, item] of items.entries()) {
    if (item.type === 'function_call') await streamCall(stream, emit, item, index, pace)
    else await streamMessage(stream, emit, item, index, pace)
  }
  emit(`response.${state.status}`, `"response":${write(state)}`)
  const told = !stream.gone
  stream.end()
  return told
}

function headersOf(reply: FastifyReply): Record<string, string> {
  return { 'x-request-id': String(reply.getHeader('x-request-id')), 'openai-processing-ms': '5' }
}

async function streamMessage(stream: EventStream, emit: Emit, item: Item, index: number, pace: Pace): Promise<void> {
  const at = `"item_id":"${item.id}","output_index":${index},"content_index":0`
  const [part] = item.content as { type: string }[]
  const isRefusal = part!.type === 'refusal'
  const kind = isRefusal ? 'refusal' : 'output_text'
  const text = textOf(item)
  emit('response.output_item.added', `"output_index":${index},"item":${JSON.stringify({ ...item, status: 'in_progress', content: [] })}`)
  emit('response.content_part.added', `${at},"part":${isRefusal ? '{"type":"refusal","refusal":""}' : '{"type":"output_text","annotations":[],"logprobs":[],"text":""}'}`)
  const extra = isRefusal ? '' : ',"logprobs":[]'
  await stream.speak(chunk(text, pace.tokensPerDelta), pace, (piece) => emit(`response.${kind}.delta`, `${at},"delta":${JSON.stringify(piece)}${extra}`))
  emit(`response.${kind}.done`, `${at},"${isRefusal ? 'refusal' : 'text'}":${JSON.stringify(text)}${extra}`)
  emit('response.content_part.done', `${at},"part":${JSON.stringify(part)}`)
  emit('response.output_item.done', `"output_index":${index},"item":${JSON.stringify(item)}`)
}

async function streamCall(stream: EventStream, emit: Emit, item: Item, index: number, pace: Pace): Promise<void> {
  const at = `"item_id":"${item.id}","output_index":${index}`
  const values = String(item.arguments)
  emit('response.output_item.added', `"output_index":${index},"item":${JSON.stringify({ ...item, status: 'in_progress', arguments: '' })}`)
  await stream.speak(chunk(values, pace.tokensPerDelta), pace, (piece) => emit('response.function_call_arguments.delta', `${at},"delta":${JSON.stringify(piece)}`))
  emit('response.function_call_arguments.done', `${at},"name":${JSON.stringify(item.name)},"arguments":${JSON.stringify(values)}`)
  emit('response.output_item.done', `"output_index":${index},"item":${JSON.stringify(item)}`)
}
