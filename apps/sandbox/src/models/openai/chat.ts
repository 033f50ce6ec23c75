import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { cutBody, strikeAfter, strikeBefore } from '../../faults/effects.ts'
import type { World } from '../../world.ts'
import { wait } from '../pace.ts'
import { countTokens } from '../tokens.ts'
import { latestWords } from '../transcript.ts'
import { answerOf, wholeAnswer } from './chat-answer.ts'
import { isChatPlan, planChat } from './chat-request.ts'
import { streamChat } from './chat-stream.ts'
import { refuseOpenAi, sendOpenAiRefusal } from './errors.ts'
import { newOpenAiId } from './ids.ts'
import { plain } from '../../plain.ts'

export type Flavour = { target: 'openai.chat' | 'groq.chat' | 'ollama.chat'; prefix: string; anyModel: boolean }

export function chatRoutes(app: FastifyInstance, world: World, flavour: Flavour): void {
  app.post(`${flavour.prefix}/chat/completions`, (request, reply) => complete(world, flavour, request, reply))
}

async function complete(world: World, { target, anyModel }: Flavour, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply | void> {
  void reply.header('x-request-id', newOpenAiId('req'))
  const plan = planChat(request, anyModel)
  const sound = isChatPlan(plan)
  const text = sound ? latestWords(plan.transcript.turns).slice(-500) : undefined
  const model = plain((request.body as { model?: unknown } | null)?.model).slice(0, 128)
  const fault = world.faults.pick(target, { model, text })
  const note = { target, kind: model, text, fault: fault?.id, body: request.body }
  const status = fault ? await strikeBefore(fault, reply, refuseOpenAi) : null
  if (status !== null) return void world.journal.add({ ...note, outcome: 'fault', status })
  if (!sound) {
    world.journal.add({ ...note, outcome: 'refused', status: plan.status })
    return sendOpenAiRefusal(reply, plan)
  }
  const answer = answerOf(plan, fault, target === 'groq.chat')
  world.journal.add({ ...note, outcome: 'accepted', status: 200, id: answer.id })
  if (plan.stream && !fault?.action.acceptThenHang && !fault?.action.acceptThenReset) return streamChat(plan, answer, world.pace, reply, fault?.action)
  await wait(world.pace.firstTokenMs + world.pace.perTokenMs * countTokens(answer.text))
  if (strikeAfter(fault, reply)) return
  const json = JSON.stringify(wholeAnswer(answer))
  if (fault?.action.cutStreamAfterEvents !== undefined) return cutBody(reply, json)
  return reply.header('content-type', 'application/json').send(json)
}
