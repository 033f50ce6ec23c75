import type { FastifyInstance } from 'fastify'
import type { World } from '../world.ts'
import { deepgramRoutes } from './deepgram/routes.ts'
import { elevenlabsRoutes } from './elevenlabs/routes.ts'
import { elevenlabsSocket } from './elevenlabs/socket.ts'
import { googleRecognizeRoutes } from './google/recognize.ts'
import { googleSynthesizeRoutes } from './google/synthesize.ts'
import { openaiSpeechRoutes } from './openai/speech.ts'
import { openaiTranscriptionRoutes } from './openai/transcriptions.ts'
import { pollyRoutes } from './polly/routes.ts'
import { speechControlRoutes } from './control.ts'

/** Every supplier of recognition and of voices. Sockets need @fastify/websocket on `app`. */
export function speechRoutes(app: FastifyInstance, world: World): void {
  speechControlRoutes(app, world.speech)
  openaiTranscriptionRoutes(app, world, { target: 'openai.audio.transcriptions', prefix: '/v1', anyModel: false })
  openaiSpeechRoutes(app, world, { target: 'openai.audio.speech', prefix: '/v1', anyModel: false })
  // A server of one's own that speaks OpenAI's wire (speaches, vLLM, LocalAI).
  openaiTranscriptionRoutes(app, world, { target: 'compatible.audio.transcriptions', prefix: '/compatible/v1', anyModel: true })
  openaiSpeechRoutes(app, world, { target: 'compatible.audio.speech', prefix: '/compatible/v1', anyModel: true })
  deepgramRoutes(app, world)
  elevenlabsRoutes(app, world)
  elevenlabsSocket(app, world)
  googleRecognizeRoutes(app, world)
  googleSynthesizeRoutes(app, world)
  pollyRoutes(app, world)
}
