import { newId } from '@trunkline/core'
import fastify, { type FastifyInstance } from 'fastify'
import { refusePath, registerErrors } from './plugins/errors.ts'
import { registerWebhooks, type WebhookDeps } from './routes/webhook.ts'
import { registerVoiceWebhooks, type VoiceWebhookDeps } from './voice/webhook.ts'

/**
 * The suppliers' door as a server of its own: no credentials, no rate limit, no OpenAPI. What a webhook costs is the signature and the commit;
 * every hook of the API would be paid thousands of times a second.
 */
export async function buildWebhookApp(deps: WebhookDeps & { voice: Omit<VoiceWebhookDeps, 'ports'>; ports: VoiceWebhookDeps['ports'] }): Promise<FastifyInstance> {
  const app = fastify({ logger: false, exposeHeadRoutes: false, genReqId: () => `req_${newId().replaceAll('-', '')}`, routerOptions: { maxParamLength: 64 }, frameworkErrors: refusePath })
  registerErrors(app, deps.log)
  registerWebhooks(app, deps)
  registerVoiceWebhooks(app, { ...deps.voice, ports: deps.ports })
  await app.ready()
  return app
}

export const isWebhook = (url: string | undefined): boolean => url !== undefined && url.startsWith('/webhooks/')
