import { randomBytes } from 'node:crypto'
import { realtime } from '@trunkline/channels'
import { AppError, Id } from '@trunkline/core'
import { createClientSecrets, promptOfAgent } from '@trunkline/db'
import { z } from 'zod'
import type { Auth } from '../auth.ts'
import type { ApiApp, ApiDeps } from '../deps.ts'

const tags = ['realtime']
const SECRET = 'ek_0a1b2c3d4e5f60718293a4b5c6d7e8f901234567'
const EXPIRES_S = 1_795_170_600
const EXAMPLE_CONFIG = realtime.orderedConfig({ session: { type: 'realtime' } }, 'You are the receptionist of Harbour Bikes.')
const EXAMPLE_SESSION = realtime.wireSession(begin(EXAMPLE_CONFIG, '0a1b2c3d4e5f', EXPIRES_S))

const SecretCreate = realtime.ClientSecretRequest.meta({
  id: 'RealtimeClientSecretCreate',
  description: 'OpenAI\'s body. `session.model` is a model\'s name or the id of one of your agents; its prompt then speaks.',
  examples: [{ expires_after: { anchor: 'created_at', seconds: 120 }, session: { type: 'realtime', model: '0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b', audio: { output: { voice: 'alloy' } } } }],
})
const Secret = realtime.ClientSecretResponse.meta({ id: 'RealtimeClientSecret', examples: [{ value: SECRET, expires_at: EXPIRES_S, session: EXAMPLE_SESSION }] })

const Expiring = z.strictObject({ value: z.string(), expires_at: z.int() })
const FlatCreate = z.looseObject({ model: z.string().optional() }).meta({ id: 'RealtimeSessionCreate', description: 'The flat session of before GA.', examples: [{ model: 'gpt-realtime', voice: 'alloy', modalities: ['text', 'audio'] }] })
const FlatSession = z.looseObject({ client_secret: Expiring }).meta({ id: 'RealtimeSession', examples: [realtime.betaSessionResponse(SECRET, EXPIRES_S, EXAMPLE_SESSION)] })

/** Keys for browsers: each opens one session of the Realtime socket, with the configuration it was made for, once. */
export function registerRealtime(app: ApiApp, deps: ApiDeps): void {
  const issue = issuer(deps)
  const config = { access: { scope: 'realtime:write' as const }, idempotent: false }

  app.post('/v1/realtime/client_secrets', { config, schema: { tags, summary: 'Make a key for one Realtime session of a browser; shown this once', body: SecretCreate, response: { 200: Secret } } }, async ({ auth, body }) => {
    const { value, expiresAtS, session } = await issue(auth, realtime.parseClientSecretRequest(body), 'body.session.model')
    return realtime.clientSecretResponse(value, expiresAtS, session)
  })

  for (const kind of ['realtime', 'transcription'] as const) {
    const url = kind === 'realtime' ? '/v1/realtime/sessions' : '/v1/realtime/transcription_sessions'
    app.post(url, { config, schema: { tags, summary: `The same for a ${kind} session, in the shape of before GA`, body: FlatCreate, response: { 200: FlatSession } } }, async ({ auth, body }) => {
      const { value, expiresAtS, session } = await issue(auth, realtime.parseBetaSessionRequest(body, kind), 'body.model')
      return FlatSession.parse(realtime.betaSessionResponse(value, expiresAtS, session))
    })
  }
}

type Issued = { value: string; expiresAtS: number; session: ReturnType<typeof realtime.wireSession> }

function issuer({ redis, keyring, db, clock }: ApiDeps): (auth: Auth, order: realtime.SecretOrder, param: string) => Promise<Issued> {
  const secrets = createClientSecrets<realtime.SecretGrant>({ redis, keyring, purpose: 'realtime' })
  return async (auth, order, param) => {
    const { tenantId, projectId, actor: issuer } = auth
    const config = realtime.orderedConfig(order, await instructionsOf(db, auth, order, param))
    const lifeMs = order.lifeSeconds * 1_000
    const expiresAtMs = clock.nowMs() + lifeMs
    const [value, idSeed, expiresAtS] = [realtime.newClientSecret(), randomBytes(12).toString('hex'), Math.floor(expiresAtMs / 1_000)]
    await secrets.keep(value, { tenantId, projectId, issuer, idSeed, config, expiresAtMs }, lifeMs)
    return { value, expiresAtS, session: realtime.wireSession(begin(config, idSeed, expiresAtS)) }
  }
}

/** Of the agent that is named as the model; none where it is a model's name. */
async function instructionsOf(db: ApiDeps['db'], { tenantId, projectId }: Auth, { session }: realtime.SecretOrder, param: string): Promise<string | undefined> {
  const agentId = Id.safeParse(session.type === 'realtime' ? session.model : undefined)
  if (!agentId.success) return undefined
  return db.tenant(tenantId, (tx) => promptOfAgent(tx, agentId.data, projectId)).then(
    ({ instructions }) => instructions,
    (error: unknown) => {
      throw error instanceof AppError && error.code === 'not_found' ? new AppError('not_found', { message: 'There is no such agent.', param }) : error
    },
  )
}

function begin(config: realtime.SessionConfig, idSeed: string, expiresAtS: number): realtime.SessionState {
  return realtime.createRealtimeSession({ config, idSeed, expiresAtS, transcriptionModel: realtime.USUAL.transcriptionModel, playout: 'client' }).state
}
