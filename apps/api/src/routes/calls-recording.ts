import { AppError, type RecordingState } from '@trunkline/core'
import type { calls } from '@trunkline/db'
import { z } from 'zod'
import type { ApiApp, ApiDeps } from '../deps.ts'
import { IdParams } from '../wire.ts'
import type { FindCall } from './calls-transcript.ts'
import { sendFile } from './file-answer.ts'

/** For the document: recordings are streamed, not serialised. */
const Sound = { description: 'The recording', content: { 'audio/wav': { schema: z.string().meta({ format: 'binary', examples: ['RIFF…'] }) } } }

/** Why there is nothing to fetch. */
const MISSING: Record<Exclude<RecordingState, 'stored'>, string> = {
  none: 'This call was not recorded.',
  recording: 'The recording is not finished: it is stored soon after the call.',
  failed: 'This call was to be recorded, and that failed.',
}

/** `/v1/calls/{id}/recording`: what was heard, both sides. */
export function registerCallRecording(app: ApiApp, deps: ApiDeps, find: FindCall): void {
  const description = 'Stereo WAV, the outside person at the left, the agent at the right, aligned by the sample. Honours `Range` with one range.'
  const schema = { tags: ['calls'], summary: 'Download the recording of a call', description, params: IdParams, response: { 200: Sound, 206: { ...Sound, description: 'The part that was asked for' } } }
  app.get('/v1/calls/:id/recording', { config: { access: { scope: 'calls:read' } }, schema }, async (request, reply) => {
    const call = await deps.db.tenant(request.auth.tenantId, (tx) => find(tx, request, request.params.id))
    return sendFile(deps.ports.mediaStore, request, reply, { key: keyOf(call), mimeType: 'audio/wav', filename: `call-${call.id}.wav` })
  })
}

function keyOf({ recording: { state, key } }: calls.Call): string {
  if (state === 'stored' && key !== null) return key
  throw new AppError('not_found', { message: MISSING[state === 'stored' ? 'failed' : state], details: { state } })
}
