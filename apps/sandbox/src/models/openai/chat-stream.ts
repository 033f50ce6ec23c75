import type { FastifyReply } from 'fastify'
import { EventStream, type StreamFault } from '../event-stream.ts'
import type { Pace } from '../pace.ts'
import { wait } from '../pace.ts'
import { chunk } from '../tokens.ts'
import type { ChatAnswer } from './chat-answer.ts'
import type { ChatPlan } from './chat-request.ts'

/** `chat.completion.chunk` events: role, deltas, finish reason, usage if asked for, `[DONE]`. */
export async function streamChat(plan: ChatPlan, answer: ChatAnswer, pace: Pace, reply: FastifyReply, fault: StreamFault): Promise<void> {
  const stream = new EventStream(reply, { 'x-request-id': String(reply.getHeader('x-request-id')) }, fault)
  const head = `{"id":"${answer.id}","object":"chat.completion.chunk","created":${answer.created},"model":${JSON.stringify(answer.model)},"service_tier":"default","system_fingerprint":"fp_sandbox",`
  const tail = plan.includeUsage ? ',"usage":null}' : '}'
  const emit = (delta: string, finish = 'null') => stream.event(null, `${head}"choices":[{"index":0,"delta":${delta},"logprobs":null,"finish_reason":${finish}}]${tail}`)
  await wait(pace.firstTokenMs)
  emit('{"role":"assistant","content":"","refusal":null}')
  for (const [index, call] of answer.calls.entries()) {
    emit(`{"tool_calls":[{"index":${index},"id":"${call.id}","type":"function","function":{"name":${JSON.stringify(call.function.name)},"arguments":""}}]}`)
    await stream.speak(chunk(call.function.arguments, pace.tokensPerDelta), pace, (piece) => emit(`{"tool_calls":[{"index":${index},"function":{"arguments":${JSON.stringify(piece)}}}]}`))
  }
  const [field, words] = answer.refusal ? ['refusal', answer.refusal] : ['content', answer.calls.length > 0 ? '' : answer.text]
  await stream.speak(chunk(words, pace.tokensPerDelta), pace, (piece) => emit(`{"${field}":${JSON.stringify(piece)}}`))
  emit('{}', `"${answer.finish}"`)
  const groq = answer.groqId ? `,"x_groq":{"id":"${answer.groqId}","usage":${JSON.stringify(answer.usage)}}` : ''
  if (plan.includeUsage || groq) stream.event(null, `${head}"choices":[],"usage":${JSON.stringify(answer.usage)}${groq}}`)
  stream.event(null, '[DONE]')
  stream.end()
}
