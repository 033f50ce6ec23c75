import { AppError, isErrorCode, newId, parseCallAnswer, type Id as IdOf } from '@trunkline/core'
import { calls } from '@trunkline/db'
import type { FastifyRequest } from 'fastify'
import { z } from 'zod'
import { audit } from '../audit.ts'
import type { ApiApp, ApiDeps } from '../deps.ts'
import { IdParams } from '../wire.ts'
import type { FindCall } from './calls-transcript.ts'
import { CallView, callView } from './calls-view.ts'

const Supervise = z
  .strictObject({
    sdp: z.string().min(10).max(64_000).meta({ description: 'A WebRTC offer with one audio section' }),
    mode: z.enum(['listen', 'barge']).default('listen').meta({ description: '`listen`: both sides are heard. `barge`: you speak to the caller, and the agent is silent until you leave.' }),
  })
  .meta({ examples: [{ sdp: 'v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\n...', mode: 'listen' }] })
const Supervised = z.object({ sdp: z.string().meta({ description: 'The answer' }), leg_id: z.string().meta({ description: 'To leave with' }) })
const LegParams = IdParams.extend({ leg_id: z.string().min(1).max(128) })
const Note = z.strictObject({ text: z.string().trim().min(1).max(2_000) }).meta({ examples: [{ text: 'Offer her the loan bike.' }] })

const tags = ['calls']
const access = { scope: 'calls:write' } as const
/** A process that has the call answers at once; the media worker may have to start. */
const ANSWER_MS = 10_000
const PAUSED_WITHIN_MS = 3_000
const LOOK_MS = 100

type Params = { params: { id: IdOf } }

/** People of the business in a call that runs: they hear it, take it over, tell the agent something, and pause its recording. */
export function registerCallPeople(app: ApiApp, deps: ApiDeps, find: FindCall): void {
  const liveCall = async (request: FastifyRequest & Params, action: string, changes?: Record<string, unknown>): Promise<calls.Call> =>
    deps.db.tenant(request.auth.tenantId, async (tx) => {
      const call = await find(tx, request, request.params.id)
      if (call.status !== 'in_progress') throw new AppError('invalid_state', { message: 'This call is not running.' })
      await audit(tx, request, { action, target: { kind: 'call', id: call.id }, ...(changes ? { changes } : {}) })
      return call
    })

  const supervise = 'WebRTC: an offer in, the answer out. The room of the call has both sides in it. Everybody who listens is written into the audit. 503 where the installation has no media worker.'
  app.post('/v1/calls/:id/supervise', { config: { access, idempotent: false }, schema: { tags, summary: 'Hear a call, or take it over', description: supervise, params: IdParams, body: Supervise, response: { 201: Supervised } } }, async (request, reply) => {
    const { sdp, mode } = request.body
    const call = await liveCall(request, 'call.supervised', { mode })
    const { sdp: answer, leg } = await askProcess(deps, call.id, { offer: sdp, mode })
    return reply.code(201).send({ sdp: answer, leg_id: leg })
  })

  const leave = 'Closing the connection does the same; this also does it for a browser that is gone.'
  app.delete('/v1/calls/:id/supervise/:leg_id', { config: { access, idempotent: false }, schema: { tags, summary: 'Leave a call', description: leave, params: LegParams, response: { 202: CallView } } }, async (request, reply) => {
    const call = await liveCall(request, 'call.supervision_left')
    deps.ports.bell.ring(`call:${call.id}`, JSON.stringify({ leave: request.params.leg_id }))
    return reply.code(202).send(callView(deps)(call))
  })

  const note = 'Read by the agent before its next answer, and by nobody else.'
  app.post('/v1/calls/:id/note', { config: { access, idempotent: false }, schema: { tags, summary: 'Tell the agent something', description: note, params: IdParams, body: Note, response: { 202: CallView } } }, async (request, reply) => {
    const call = await liveCall(request, 'call.noted')
    deps.ports.bell.ring(`call:${call.id}`, JSON.stringify({ note: request.body.text }))
    return reply.code(202).send(callView(deps)(call))
  })

  const pause = 'While a card number is said. 200: from now on nothing is recorded (the file has silence instead). 503: the process of the call did not confirm it.'
  for (const [verb, state] of [['pause', 'paused'], ['resume', 'resumed']] as const) {
    app.post(`/v1/calls/:id/recording/${verb}`, { config: { access, idempotent: false }, schema: { tags, summary: `${verb === 'pause' ? 'Pause' : 'Go on with'} the recording`, description: pause, params: IdParams, response: { 200: CallView } } }, async (request) => {
      const call = await liveCall(request, `call.recording_${state}`)
      if (call.recording.state !== 'recording') throw new AppError('invalid_state', { message: 'This call is not recorded.' })
      await recordingIs(deps, call, verb, state)
      return callView(deps)(call)
    })
  }
}

/** The process that has the call joins whoever asks; its answer comes over a bell of its own. */
async function askProcess({ ports: { bell } }: ApiDeps, callId: IdOf, { offer, mode }: { offer: string; mode: 'listen' | 'barge' }): Promise<{ sdp: string; leg: string }> {
  const reply = `call-answer:${newId()}`
  const { promise, resolve, reject } = Promise.withResolvers<{ sdp: string; leg: string }>()
  const unlisten = bell.listen(reply, (word) => {
    const { answer, error } = parseCallAnswer(word) ?? {}
    if (answer !== undefined) resolve(answer)
    else reject(error && isErrorCode(error.code) ? new AppError(error.code, { message: error.message }) : new AppError('internal'))
  })
  const timer = setTimeout(() => reject(new AppError('unavailable', { message: 'The process of this call does not answer. Try again.', retryAfterMs: 1_000 })), ANSWER_MS)
  try {
    await bell.listening(reply)
    bell.ring(`call:${callId}`, JSON.stringify({ supervise: { offer, mode, reply } }))
    return await promise
  } finally {
    clearTimeout(timer)
    unlisten()
  }
}

/** It is written with the call when it is so. */
async function recordingIs({ db, ports: { bell } }: ApiDeps, call: calls.Call, verb: 'pause' | 'resume', state: string): Promise<void> {
  const latest = () => db.tenant(call.tenantId, (tx) => calls.latestEvent(tx, call.id, 'recording'))
  const before = (await latest())?.id ?? 0
  bell.ring(`call:${call.id}`, JSON.stringify({ recording: verb }))
  const untilMs = Date.now() + PAUSED_WITHIN_MS
  while (Date.now() < untilMs) {
    const event = await latest()
    if (event && event.id > before && event.data['state'] === state) return
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
  }
  throw new AppError('unavailable', { message: 'The process of this call did not confirm it. Try again.', retryAfterMs: 1_000 })
}
