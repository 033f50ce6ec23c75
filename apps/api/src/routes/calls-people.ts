import { AppError, briefingOf } from '@trunkline/core'
import { calls } from '@trunkline/db'
import { z } from 'zod'
import type { ApiApp, ApiDeps } from '../deps.ts'
import { IdParams } from '../wire.ts'
import { liveCallOf, withSound } from './calls-live.ts'
import type { FindCall } from './calls-transcript.ts'
import { CallView, callView } from './calls-view.ts'

const Note = z.strictObject({ text: z.string().trim().min(1).max(2_000) }).meta({ examples: [{ text: 'Offer her the loan bike.' }] })

const tags = ['calls']
const access = { scope: 'calls:write' } as const
const PAUSED_WITHIN_MS = 3_000
const LOOK_MS = 100

/** People of the business in a call that runs: they tell the agent something, and pause the recording. */
export function registerCallPeople(app: ApiApp, deps: ApiDeps, find: FindCall): void {
  const liveCall = liveCallOf(deps, find)

  const note = 'Read by the agent before its next answer, and by nobody else; `GET …/events?kind=note` has it. Who listens may say it as well: `supervise` with the mode `whisper`.'
  app.post('/v1/calls/:id/note', { config: { access, idempotent: false }, schema: { tags, summary: 'Tell the agent something', description: note, params: IdParams, body: Note, response: { 202: CallView } } }, async (request, reply) => {
    const call = withSound(await liveCall(request, 'call.noted'))
    if (briefingOf(call.options)) throw new AppError('invalid_state', { message: 'In this call a colleague is told about a caller: no agent of yours reads notes here. Whisper to the colleague instead.' })
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
