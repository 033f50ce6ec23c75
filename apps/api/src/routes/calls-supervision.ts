import { AppError, isErrorCode, newId, parseCallAnswer, SupervisionMode, type CallAnswer, type Id } from '@trunkline/core'
import { z } from 'zod'
import type { ApiApp, ApiDeps } from '../deps.ts'
import { IdParams } from '../wire.ts'
import { liveCallOf, withSound } from './calls-live.ts'
import type { FindCall } from './calls-transcript.ts'
import { CallView, callView } from './calls-view.ts'

const Mode = SupervisionMode.meta({
  description: '`listen`: both sides are heard. `whisper`: and what you say is for the agent alone; it is recognised and read by the agent before its next answer, like a note (an event of kind `note`). In the call of a colleague who is told about a waiting caller, the colleague hears it. `barge`: you speak to the caller, and the agent is silent until you stop.',
})
const Supervise = z
  .strictObject({
    sdp: z.string().min(10).max(64_000).meta({ description: 'A WebRTC offer with one audio section: `sendrecv`, unless you only ever listen' }),
    mode: Mode.default('listen'),
  })
  .meta({ examples: [{ sdp: 'v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\n...', mode: 'whisper' }] })
const Supervised = z.object({ sdp: z.string().meta({ description: 'The answer' }), leg_id: z.string().meta({ description: 'To change the mode, and to leave with' }), mode: Mode })
const LegParams = IdParams.extend({ leg_id: z.string().min(1).max(128) })
const Change = z.strictObject({ mode: Mode }).meta({ examples: [{ mode: 'barge' }] })
const Changed = z.object({ leg_id: z.string(), mode: Mode })

const tags = ['calls']
const access = { scope: 'calls:write' } as const
/** A process that has the call answers at once; the media worker may have to start. */
const ANSWER_MS = 10_000

/** People of the business in a call that runs: they hear it, whisper to whoever leads it, and take it over. */
export function registerCallSupervision(app: ApiApp, deps: ApiDeps, find: FindCall): void {
  const liveCall = liveCallOf(deps, find)

  const supervise = 'WebRTC: an offer in, the answer out. The room of the call has both sides in it; what is whispered is neither heard by the caller nor recorded. While a caller waits for a colleague it is the colleague who is whispered to, in the call to them: `GET …/events?kind=transfer` names it (`colleague_call_id`). Everybody who listens is written into the audit. 409 for a call that was put through: its carrier connects both sides, and no sound of it comes here any more. 503 where the installation has no media worker.'
  app.post('/v1/calls/:id/supervise', { config: { access, idempotent: false }, schema: { tags, summary: 'Hear a call, whisper, or take it over', description: supervise, params: IdParams, body: Supervise, response: { 201: Supervised } } }, async (request, reply) => {
    const { sdp: offer, mode } = request.body
    const call = withSound(await liveCall(request, 'call.supervised', { mode }))
    const { sdp, leg } = await askProcess(deps, call.id, (answerTo) => ({ supervise: { offer, mode, reply: answerTo } }))
    if (sdp === undefined) throw new AppError('internal')
    return reply.code(201).send({ sdp, leg_id: leg, mode })
  })

  const change = 'From listening to whispering to barging in, and back, on the same connection. What was being whispered is heard out. 409 where the connection was offered without sound of yours (`recvonly`).'
  app.patch('/v1/calls/:id/supervise/:leg_id', { config: { access, idempotent: false }, schema: { tags, summary: 'Whisper, barge in, or only listen, from now on', description: change, params: LegParams, body: Change, response: { 200: Changed } } }, async (request) => {
    const { mode } = request.body
    const call = withSound(await liveCall(request, 'call.supervision_changed', { mode }))
    const { leg } = await askProcess(deps, call.id, (reply) => ({ supervise_as: { leg: request.params.leg_id, mode, reply } }))
    return { leg_id: leg, mode }
  })

  const leave = 'Closing the connection does the same; this also does it for a browser that is gone.'
  app.delete('/v1/calls/:id/supervise/:leg_id', { config: { access, idempotent: false }, schema: { tags, summary: 'Leave a call', description: leave, params: LegParams, response: { 202: CallView } } }, async (request, reply) => {
    const call = await liveCall(request, 'call.supervision_left')
    deps.ports.bell.ring(`call:${call.id}`, JSON.stringify({ leave: request.params.leg_id }))
    return reply.code(202).send(callView(deps)(call))
  })
}

/** The process that has the call does it; its answer comes over a bell of its own. */
async function askProcess({ ports: { bell } }: ApiDeps, callId: Id, word: (reply: string) => object): Promise<NonNullable<CallAnswer['answer']>> {
  const reply = `call-answer:${newId()}`
  const { promise, resolve, reject } = Promise.withResolvers<NonNullable<CallAnswer['answer']>>()
  const unlisten = bell.listen(reply, (text) => {
    const { answer, error } = parseCallAnswer(text) ?? {}
    if (answer !== undefined) resolve(answer)
    else reject(error && isErrorCode(error.code) ? new AppError(error.code, { message: error.message, ...(error.param === null ? {} : { param: error.param }), ...(error.details ? { details: error.details } : {}) }) : new AppError('internal'))
  })
  const timer = setTimeout(() => reject(new AppError('unavailable', { message: 'The process of this call does not answer. Try again.', retryAfterMs: 1_000 })), ANSWER_MS)
  try {
    await bell.listening(reply)
    bell.ring(`call:${callId}`, JSON.stringify(word(reply)))
    return await promise
  } finally {
    clearTimeout(timer)
    unlisten()
  }
}
