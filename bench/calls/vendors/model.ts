import { Chunker } from '@trunkline/media'
import type { ServerResponse } from 'node:http'
import { sharedMs } from '../clock.ts'
import { answerTo, KEY, PACE } from '../script.ts'
import type { Note } from './notes.ts'

/** `POST /v1/responses`, streamed: answers the last question of the input, token by token, in the events of OpenAI's Responses API that are read. */
export function answer(body: string, reply: ServerResponse, note: Note): void {
  const key = body.match(KEY)?.at(-1) ?? 'K0Q0'
  const text = answerTo(key)
  note('asked', key, sharedMs())
  reply.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8', 'x-request-id': `req_${key}` })
  const response = { id: `resp_${key}`, object: 'response', status: 'in_progress', output: [], usage: null }
  const say = (type: string, fields: object) => reply.write(`event: ${type}\ndata: ${JSON.stringify({ type, ...fields })}\n\n`)
  say('response.created', { response })
  // Knows when there is text enough for a voice to begin.
  const chunker = new Chunker({ language: null })
  let at = 0
  let timer: NodeJS.Timeout
  const token = (): void => {
    const delta = text.slice(at, at + PACE.tokenChars)
    at += delta.length
    note('token', key, sharedMs())
    if (chunker.write(delta).length > 0) note('piece', key, sharedMs())
    say('response.output_text.delta', { item_id: 'msg', output_index: 0, content_index: 0, delta, logprobs: [] })
    if (at < text.length) return
    clearInterval(timer)
    const item = { id: `msg_${key}`, type: 'message', role: 'assistant', status: 'completed', content: [{ type: 'output_text', text, annotations: [] }] }
    say('response.output_item.done', { output_index: 0, item })
    say('response.completed', { response: { ...response, status: 'completed', output: [item], usage: { input_tokens: Math.ceil(body.length / 4), input_tokens_details: { cached_tokens: 0 }, output_tokens: Math.ceil(text.length / 4) } } })
    reply.end()
  }
  timer = setTimeout(() => {
    timer = setInterval(token, PACE.tokenMs)
    token()
  }, PACE.firstTokenMs)
  reply.once('close', () => clearTimeout(timer))
}
