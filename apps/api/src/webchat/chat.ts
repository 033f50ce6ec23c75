import { WebchatSettings, isOriginAllowed } from '@trunkline/channels'
import { AppError, Id } from '@trunkline/core'
import type { RoutedNumber, webchat } from '@trunkline/db'
import type { FastifyRequest } from 'fastify'
import { z } from 'zod'
import type { ApiDeps } from '../deps.ts'
import type { SessionTokens } from './tokens.ts'

/** `{ number_id }` of every path. */
export const ChatParams = z.object({ number_id: Id.meta({ description: 'The id of a number of type webchat' }) })

export type Chat = { number: RoutedNumber; settings: z.output<typeof WebchatSettings> }

type ChatRequest = FastifyRequest<{ Params: { number_id: Id } }>

/**
 * The chat that a page talks to. The page's origin is checked on the server, because CORS alone would still run the request.
 * Throws AppError `not_found`, `tenant_suspended`, `origin_not_allowed`.
 */
export async function openChat(deps: Pick<ApiDeps, 'ports' | 'config'>, request: ChatRequest): Promise<Chat> {
  const number = await deps.ports.routing.numberForRouting(request.params.number_id)
  if (!number || number.channel !== 'webchat' || number.status === 'deleted') throw new AppError('not_found', { message: 'There is no such web chat.' })
  const settings = WebchatSettings.parse(number.settings)
  assertOrigin(request.headers, settings, new URL(deps.config.publicUrl).origin)
  if (number.tenantStatus === 'suspended') throw new AppError('tenant_suspended')
  return { number, settings }
}

/**
 * Our own pages (the demo, the dashboard's preview) are served by this process: they may open any chat. A browser leaves `Origin`
 * out of a GET to the page's own server, and says `Sec-Fetch-Site: same-origin` instead, which no script can set
 * (fetch.spec.whatwg.org, "Origin header"; w3.org/TR/fetch-metadata).
 */
function assertOrigin(headers: FastifyRequest['headers'], settings: Chat['settings'], ownOrigin: string): void {
  const { origin } = headers
  if (origin === undefined) {
    if (settings.allow_missing_origin || headers['sec-fetch-site'] === 'same-origin') return
    throw new AppError('origin_not_allowed', { message: 'A web chat is opened by a page: the Origin header is missing.', param: 'headers.origin' })
  }
  if (origin === ownOrigin || isOriginAllowed(origin, settings.allowed_origins)) return
  throw new AppError('origin_not_allowed', { param: 'headers.origin' })
}

/** The visitor of a REST request. Throws AppError `missing_credentials` or `invalid_token`. */
export async function visitorOf(tokens: SessionTokens, chat: Chat, request: FastifyRequest): Promise<webchat.Visitor> {
  const token = /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? '')?.[1]
  if (token === undefined) throw new AppError('missing_credentials', { message: 'Send the session token as Authorization: Bearer.' })
  return visitorOn(chat.number, await tokens.verify(token, chat.number.id))
}

export const visitorOn = (number: RoutedNumber, visitorId: string): webchat.Visitor => ({ tenantId: number.tenantId, numberId: number.id, visitorId })
