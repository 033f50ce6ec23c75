import { AppError } from '@trunkline/core'
import { z } from 'zod'
import type { ApiApp, ApiDeps } from '../deps.ts'
import { createVoiceProxy } from '../plugins/voice-proxy.ts'

const tags = ['realtime']
const socket = `OpenAI's Realtime protocol (GA). Give exactly one of \`model\` (a model's name or the id of one of your agents), \`intent=transcription\` or \`call_id\`.
The credential is an API key or a client secret: as a bearer token, in \`access_token\`, or from a browser in the sub-protocol \`openai-insecure-api-key.<secret>\`.
\`call_id\` follows a WebRTC call beside its client, with an API key of its tenant and project: three sockets at most see its events and may send theirs.
A tenant has so many sessions at a time (429).
A client that lost its socket comes back with \`session_id\` (or the header \`x-session-id\`) and finds its session as it was.`
const calls = `WebRTC. The body is an SDP offer (application/sdp) for a client secret, or multipart/form-data with \`sdp\` and \`session\` for an API key;
the answer is the SDP answer, its Location the address of the call. Events travel over the data channel \`oai-events\`.
A tenant has so many sessions at a time, sockets and calls together: one too many is answered 429 with \`Retry-After\`, and a client secret that was shown stays good for the next attempt.`

const sdp = { 201: { description: 'The SDP answer', content: { 'application/sdp': { schema: z.string().meta({ examples: ['v=0\r\n...'] }) } } } }
const CallParams = z.strictObject({ call_id: z.string().regex(/^rtc_[\w-]{1,64}$/) })

/** The Realtime socket and WebRTC under the API's own address. Whoever comes in is asked by the voice: it knows client secrets. */
export function registerRealtimeProxy(app: ApiApp, deps: ApiDeps): void {
  const voice = createVoiceProxy(deps.config.voiceUrl, deps.log)
  app.addHook('preClose', async () => voice.close())

  app.get('/v1/realtime', { config: { access: 'public' }, schema: { tags, summary: 'Open a Realtime session', description: socket, response: { 101: z.null().meta({ description: 'WebSocket' }) } } }, async (request, reply) => {
    if (request.headers.upgrade?.toLowerCase() !== 'websocket') throw new AppError('invalid_request', { message: 'This address is for WebSockets.', param: 'headers.upgrade' })
    // Its connection has left the server's hands: whatever is answered here is the last of it.
    reply.raw.once('finish', () => request.raw.socket.destroySoon())
    voice.tunnel(request, reply)
  })

  void app.register(async (scope) => {
    // Bodies pass as they come; the voice reads and limits them.
    scope.removeAllContentTypeParsers()
    scope.addContentTypeParser('*', (_request, _payload, done) => done(null))
    const config = { access: 'public' as const, idempotent: false }
    scope.post('/v1/realtime/calls', { config, schema: { tags, summary: 'Open a Realtime session over WebRTC', description: calls, response: sdp } }, async (request, reply) => voice.forward(request, reply))
    scope.post('/v1/realtime/calls/:call_id/hangup', { config, schema: { tags, summary: 'End a call over WebRTC', params: CallParams, response: { 200: z.strictObject({}) } } }, async (request, reply) => voice.forward(request, reply))
  })
}
