import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { cutBody, strikeAfter, strikeBefore } from '../../faults/effects.ts'
import type { Fault, FaultAction } from '../../faults/fault.ts'
import type { World } from '../../world.ts'
import { EventStream, type StreamFault } from '../event-stream.ts'
import { newOpenAiId } from '../openai/ids.ts'
import type { Pace } from '../pace.ts'
import { wait } from '../pace.ts'
import { fillSchema } from '../persona/schema.ts'
import { findLead } from '../persona/lead.ts'
import { think } from '../think.ts'
import { chunk, countTokens } from '../tokens.ts'
import { latestWords } from '../transcript.ts'
import type { AnthropicRefusal, MessagesPlan } from './request.ts'
import { isMessagesPlan, planMessages } from './request.ts'
import { plain } from '../../plain.ts'

const TARGET = 'anthropic.messages'

type Block = { type: 'text'; text: string; citations: null } | { type: 'tool_use'; id: string; name: string; input: unknown; caller: { type: 'direct' } }
type Answer = { id: string; model: string; blocks: Block[]; stop: 'end_turn' | 'max_tokens' | 'tool_use' | 'refusal'; input: number; output: number }

/** `POST /anthropic/v1/messages`, streamed and whole. */
export function anthropicRoutes(app: FastifyInstance, world: World): void {
  app.post('/anthropic/v1/messages', (request, reply) => create(world, request, reply))
}

async function create(world: World, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply | void> {
  void reply.header('request-id', newOpenAiId('req'))
  const plan = planMessages(request)
  const sound = isMessagesPlan(plan)
  const text = sound ? latestWords(plan.transcript.turns).slice(-500) : undefined
  const model = plain((request.body as { model?: unknown } | null)?.model).slice(0, 128)
  const fault = world.faults.pick(TARGET, { model, text })
  const note = { target: TARGET, kind: model, text, fault: fault?.id, body: request.body }
  const status = fault ? await strikeBefore(fault, reply, refuseByFault) : null
  if (status !== null) return void world.journal.add({ ...note, outcome: 'fault', status })
  if (!sound) {
    world.journal.add({ ...note, outcome: 'refused', status: plan.status })
    return refuse(reply, plan)
  }
  const answer = answerOf(plan, fault)
  world.journal.add({ ...note, outcome: 'accepted', status: 200, id: answer.id })
  if (plan.stream && !fault?.action.acceptThenHang && !fault?.action.acceptThenReset) return stream(answer, world.pace, reply, fault?.action)
  await wait(world.pace.firstTokenMs + world.pace.perTokenMs * answer.output)
  if (strikeAfter(fault, reply)) return
  const json = JSON.stringify(messageOf(answer, answer.blocks, answer.stop, answer.output))
  if (fault?.action.cutStreamAfterEvents !== undefined) return cutBody(reply, json)
  return reply.header('content-type', 'application/json').send(json)
}

function refuse(reply: FastifyReply, { status, type, message }: AnthropicRefusal): FastifyReply {
  return reply.code(status).send({ type: 'error', error: { type, message }, request_id: reply.getHeader('request-id') })
}

// Types by status: docs.anthropic.com/en/api/errors.
const TYPES: Record<number, string> = { 400: 'invalid_request_error', 401: 'authentication_error', 403: 'permission_error', 404: 'not_found_error', 413: 'request_too_large', 429: 'rate_limit_error', 500: 'api_error', 529: 'overloaded_error' }

function refuseByFault(reply: FastifyReply, action: FaultAction): void {
  const named = Object.entries(TYPES).find(([, type]) => type === action.errorCode)
  const status = action.status ?? Number(named?.[0] ?? 500)
  refuse(reply, { status, type: typeof action.errorCode === 'string' ? action.errorCode : (TYPES[status] ?? 'api_error'), message: 'Scripted by the sandbox.' })
}

function answerOf(plan: MessagesPlan, fault: Fault | undefined): Answer {
  const base = { id: newOpenAiId('msg'), model: plan.model, input: Math.ceil(plan.characters / 4) + 8 }
  if (fault?.action.modelOutcome === 'refusal') return { ...base, blocks: [], stop: 'refusal', output: 1 }
  const forcedInput = forcedToolInput(plan)
  const thought = fault?.action.text === undefined ? think(plan.transcript) : { text: fault.action.text, calls: [] }
  if (thought.calls.length > 0) {
    const blocks = thought.calls.map((call): Block => ({ type: 'tool_use', id: newOpenAiId('toolu'), name: call.name, input: forcedInput ?? JSON.parse(call.arguments), caller: { type: 'direct' } }))
    return { ...base, blocks, stop: 'tool_use', output: countTokens(JSON.stringify(blocks)) }
  }
  const isCut = fault?.action.modelOutcome === 'incomplete' || countTokens(thought.text) > plan.maxTokens
  const text = isCut ? thought.text.slice(0, Math.min(plan.maxTokens * 4, Math.ceil(thought.text.length / 2))) : thought.text
  return { ...base, blocks: [{ type: 'text', text, citations: null }], stop: isCut ? 'max_tokens' : 'end_turn', output: Math.max(1, countTokens(text)) }
}

/** Structured output the Anthropic way: one forced tool whose input is the answer. */
function forcedToolInput({ transcript }: MessagesPlan): unknown {
  const { toolChoice, tools, turns, instructions } = transcript
  const forced = typeof toolChoice === 'object' ? tools.find(({ name }) => name === toolChoice.name) : undefined
  return forced && /lead|extract|record|report/i.test(forced.name) ? fillSchema(forced.parameters, findLead(turns, instructions)) : undefined
}

function messageOf({ id, model, input }: Answer, content: readonly Block[], stop: string | null, output: number) {
  const usage = {
    input_tokens: input, cache_creation_input_tokens: 0, cache_read_input_tokens: 0, cache_creation: { ephemeral_5m_input_tokens: 0, ephemeral_1h_input_tokens: 0 },
    output_tokens: output, output_tokens_details: null, server_tool_use: null, service_tier: 'standard', speed: 'standard', inference_geo: 'not_available',
  }
  return { id, type: 'message', role: 'assistant', model, content, container: null, stop_reason: stop, stop_sequence: null, stop_details: null, diagnostics: null, usage }
}

/** message_start, then each block (start, deltas, stop), message_delta, message_stop; a ping as the API sends it. */
async function stream(answer: Answer, pace: Pace, reply: FastifyReply, fault: StreamFault): Promise<void> {
  const events = new EventStream(reply, { 'request-id': String(reply.getHeader('request-id')) }, fault)
  const emit = (type: string, fields: string) => events.event(type, fields === '' ? `{"type":"${type}"}` : `{"type":"${type}",${fields}}`)
  await wait(pace.firstTokenMs)
  emit('message_start', `"message":${JSON.stringify(messageOf(answer, [], null, 1))}`)
  for (const [index, block] of answer.blocks.entries()) {
    const isText = block.type === 'text'
    emit('content_block_start', `"index":${index},"content_block":${JSON.stringify(isText ? { ...block, text: '' } : { ...block, input: {} })}`)
    if (index === 0) emit('ping', '')
    const [kind, field, words] = isText ? ['text_delta', 'text', block.text] : ['input_json_delta', 'partial_json', JSON.stringify(block.input)]
    await events.speak(chunk(words, pace.tokensPerDelta), pace, (piece) => emit('content_block_delta', `"index":${index},"delta":{"type":"${kind}","${field}":${JSON.stringify(piece)}}`))
    emit('content_block_stop', `"index":${index}`)
  }
  const usage = `{"input_tokens":${answer.input},"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":${answer.output},"output_tokens_details":null,"server_tool_use":null}`
  emit('message_delta', `"delta":{"stop_reason":"${answer.stop}","stop_sequence":null},"usage":${usage}`)
  emit('message_stop', '')
  events.end()
}
