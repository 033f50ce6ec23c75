import { randomBytes } from 'node:crypto'
import { AppError, Id } from '@trunkline/core'
import { z } from 'zod'
import { betaSession, betaSessionPatch, betaTranscriptionSession, betaTranscriptionPatch } from './beta-session.ts'
import type { Target } from './connection.ts'
import { refusalOf } from './inbound.ts'
import { WireSession } from './server-events.ts'
import { realtimeDefaults, SessionConfig, transcriptionDefaults, USUAL } from './session-config.ts'
import { mergeRealtime, mergeTranscription, SessionPatch } from './session-patch.ts'

/**
 * Keys for browsers: `POST /v1/realtime/client_secrets` (GA), `/v1/realtime/sessions` and `/v1/realtime/transcription_sessions`
 * (beta shapes). Ours are stricter than OpenAI's: a secret opens one session, of the configuration it was made for, and
 * lives ten minutes at most (theirs: many sessions, two hours; `openai` npm, client-secrets).
 */
export const SECRET_LIFE = { minSeconds: 10, maxSeconds: 600, defaultSeconds: 600 } as const

const ExpiresAfter = z.strictObject({
  anchor: z.literal('created_at').default('created_at'),
  seconds: z.int().min(SECRET_LIFE.minSeconds).max(SECRET_LIFE.maxSeconds).default(SECRET_LIFE.defaultSeconds),
})

export const ClientSecretRequest = z.strictObject({ expires_after: ExpiresAfter.nullish(), session: SessionPatch.nullish() })
export const ClientSecretResponse = z.strictObject({ value: z.string(), expires_at: z.int(), session: WireSession })
export type ClientSecretResponse = z.infer<typeof ClientSecretResponse>

/** What a request asks for, whichever of the three routes it came by. */
export type SecretOrder = { lifeSeconds: number; session: SessionPatch }

/** Throws AppError `invalid_request` that says what and where. */
export function parseClientSecretRequest(body: unknown): SecretOrder {
  const { expires_after, session } = checked(ClientSecretRequest, body ?? {})
  return { lifeSeconds: expires_after?.seconds ?? SECRET_LIFE.defaultSeconds, session: session ?? { type: 'realtime' } }
}

/** Beta: the session's fields stand at the top, the life under `client_secret.expires_after`. */
export function parseBetaSessionRequest(body: unknown, kind: 'realtime' | 'transcription'): SecretOrder {
  const { client_secret: secret, ...fields } = checked(
    z.looseObject({ client_secret: z.looseObject({ expires_after: ExpiresAfter.nullish(), expires_at: ExpiresAfter.nullish() }).nullish() }),
    body ?? {},
  )
  const patch = kind === 'realtime' ? betaSessionPatch(fields) : betaTranscriptionPatch(fields)
  const expires = secret?.expires_after ?? secret?.expires_at
  return { lifeSeconds: expires?.seconds ?? SECRET_LIFE.defaultSeconds, session: checked(SessionPatch, patch) }
}

/** The whole configuration that is asked for. `instructions`: those of the agent, where the model is one; what the request says wins. */
export function orderedConfig({ session }: Pick<SecretOrder, 'session'>, instructions?: string): SessionConfig {
  if (session.type === 'transcription') return mergeTranscription(transcriptionDefaults(USUAL.transcriptionModel), session, USUAL.transcriptionModel)
  const usual = realtimeDefaults({ model: session.model ?? USUAL.model, voice: USUAL.voice, ...(instructions === undefined ? {} : { instructions }) })
  return mergeRealtime(usual, session, USUAL.transcriptionModel)
}

function checked<Schema extends z.ZodType>(schema: Schema, body: unknown): z.infer<Schema> {
  const parsed = schema.safeParse(body)
  if (parsed.success) return parsed.data
  const { message, param, code } = refusalOf(parsed.error, body)
  throw new AppError('invalid_request', { message, ...(param ? { param: `body.${param}` } : {}), details: { realtime_code: code } })
}

/** `ek_` and 40 letters and digits: 160 bits. Shown once; who keeps what it opens keeps no more than a keyed hash of it. */
export const newClientSecret = (): string => `ek_${randomBytes(20).toString('hex')}`
export const isClientSecret = (value: string): boolean => /^ek_[0-9a-f]{40}$/.test(value)

/** What a secret opens: one session, with this configuration, for whoever had it made. Kept until it is used or expires. */
export const SecretGrant = z.strictObject({
  tenantId: Id,
  /** Null: made by a person, who works across the projects of the tenant. */
  projectId: Id.nullable(),
  /** Who had it made; a key that is revoked meanwhile opens nothing any more. */
  issuer: z.strictObject({ kind: z.enum(['user', 'api_key']), id: Id }),
  /** Of the session's ids: it has the id that the answer showed. */
  idSeed: z.string(),
  config: SessionConfig,
  expiresAtMs: z.number(),
})
export type SecretGrant = z.infer<typeof SecretGrant>

/**
 * Whether what was found under a secret opens this connection now. The host has taken it out in the same breath: of two
 * clients with the same secret one finds it. `target` null: the client names none (WebRTC), and gets what the secret is
 * for. Throws AppError `invalid_token`, or `permission_denied` for another session.
 */
export function redeem(found: unknown, target: Target | null, nowMs: number): SecretGrant {
  const grant = SecretGrant.safeParse(found)
  if (!grant.success || nowMs >= grant.data.expiresAtMs) throw new AppError('invalid_token', { message: 'This client secret is unknown, used or expired.' })
  if (target !== null && !fits(grant.data.config, target)) throw new AppError('permission_denied', { message: 'This client secret was made for another session.' })
  return grant.data
}

function fits(config: SessionConfig, target: Target): boolean {
  if (target.mode === 'session') return true
  return target.mode === config.type && (target.mode !== 'realtime' || config.type !== 'realtime' || target.model === config.model)
}

export function clientSecretResponse(value: string, expiresAtS: number, session: WireSession): ClientSecretResponse {
  return { value, expires_at: expiresAtS, session }
}

/** Beta: the session with its `client_secret` inside. */
export function betaSessionResponse(value: string, expiresAtS: number, session: WireSession): Record<string, unknown> {
  const client_secret = { value, expires_at: expiresAtS }
  return { ...(session.type === 'realtime' ? betaSession(session) : betaTranscriptionSession(session)), client_secret }
}
