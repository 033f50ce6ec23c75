import { AppError, Id } from '@trunkline/core'
import { LIVE_EVENT_TYPES, type LiveEventType, type Principal, type Scope } from '@trunkline/db'
import { z } from 'zod'

// The words of the socket; README.md shows them in use.

const SCOPES: Record<string, Scope> = { call: 'calls:read', message: 'messages:read', conversation: 'conversations:read', lead: 'leads:read' }
/** Who may hear it. */
export const scopeOf = (type: LiveEventType): Scope => SCOPES[type.split('.', 1)[0]!]!
/** One of them opens the socket. */
export const EVENT_SCOPES: readonly Scope[] = Object.values(SCOPES)

const TYPES_MAX = 32
const Types = z.array(z.string().max(64)).min(1).max(TYPES_MAX)

export const ClientFrame = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('subscribe'), types: Types.optional(), conversation_id: Id.nullish(), project_id: Id.nullish() }),
  z.strictObject({ type: z.literal('ping') }),
])
export type ClientFrame = z.infer<typeof ClientFrame>

/** Null: no limit but that of the credentials. */
export type Filter = { types: ReadonlySet<LiveEventType> | null; conversationId: Id | null; projectId: Id | null }

type Wish = { types?: readonly string[] | undefined; conversation_id?: Id | null | undefined; project_id?: Id | null | undefined }

/** Throws AppError `invalid_request` for a type that does not exist, `permission_denied` for one that these credentials may not hear. */
export function filterOf(wish: Wish, principal: Principal, place: 'query' | 'frame'): Filter {
  const { conversation_id: conversationId = null, project_id: projectId = null } = wish
  if (projectId !== null && principal.projectId !== null && projectId !== principal.projectId) {
    throw new AppError('permission_denied', { message: 'This API key belongs to another project.', param: `${place}.project_id` })
  }
  const types = wish.types === undefined ? null : new Set(wish.types.flatMap((name) => typesNamed(name, `${place}.types`)))
  const refused = types && [...types].find((type) => !principal.scopes.has(scopeOf(type)))
  if (refused) throw new AppError('permission_denied', { message: `These credentials do not allow to hear ${refused}.`, param: `${place}.types`, details: { needs: scopeOf(refused) } })
  return { types, conversationId, projectId }
}

/** `message.sent`, or `message.*` for all of them. */
function typesNamed(name: string, param: string): LiveEventType[] {
  const found = LIVE_EVENT_TYPES.filter((type) => type === name || (name.endsWith('.*') && type.startsWith(name.slice(0, -1))))
  if (found.length === 0) throw new AppError('invalid_request', { message: `There are no events of type ${JSON.stringify(name)}. Possible: ${LIVE_EVENT_TYPES.join(', ')}, or all of a kind, like message.*`, param })
  return found
}

/** Why a socket was closed. 1001 (we are going away) is the standard's. */
export const CLOSE = {
  notText: 1003,
  abuse: 1008,
  tooLarge: 1009,
  tooSlow: 1013,
  unauthorised: 4401,
  forbidden: 4403,
  tooMany: 4429,
} as const

/** Throws AppError `invalid_json` or `invalid_request` with the path of what does not fit. */
export function parseFrame(text: string): ClientFrame {
  let given: unknown
  try {
    given = JSON.parse(text)
  } catch {
    throw new AppError('invalid_json', { message: 'The frame is not valid JSON.', param: 'frame' })
  }
  const parsed = ClientFrame.safeParse(given)
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]!
  throw new AppError('invalid_request', { message: issue.message, param: ['frame', ...issue.path].join('.') })
}
