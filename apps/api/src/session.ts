import { newId } from '@trunkline/core'
import { insertRefreshToken, type Tx } from '@trunkline/db'
import { z } from 'zod'
import type { ApiDeps } from './deps.ts'
import { ACCESS_TOKEN_LIFE_S, hashSecret, newSecret, REFRESH_TOKEN_LIFE_MS } from './tokens.ts'

export const SessionTokens = z.object({
  access_token: z.string().meta({ description: 'A JWT for 15 minutes' }),
  token_type: z.literal('Bearer'),
  expires_in: z.number().int().meta({ description: 'Seconds' }),
  refresh_token: z.string().meta({ description: 'Works once, within 30 days' }),
  tenant_id: z.string(),
})
export type SessionTokens = z.infer<typeof SessionTokens>

export const SESSION_EXAMPLE: SessionTokens = { access_token: 'eyJhbGciOiJIUzI1NiJ9...', token_type: 'Bearer', expires_in: ACCESS_TOKEN_LIFE_S, refresh_token: 'tlr_4Zk...', tenant_id: '0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b' }

/** The next pair of a session; without `sessionId` a new one begins. Its refresh token is stored in `tx`. */
export async function issueSession(tx: Tx, deps: ApiDeps, who: { userId: string; tenantId: string; sessionId?: string }): Promise<SessionTokens> {
  const sessionId = who.sessionId ?? newId()
  const refreshToken = newSecret('tlr_')
  const expiresAt = new Date(deps.clock.nowMs() + REFRESH_TOKEN_LIFE_MS)
  await insertRefreshToken(tx, { familyId: sessionId, userId: who.userId, tenantId: who.tenantId, tokenHash: hashSecret(refreshToken), expiresAt })
  const accessToken = await deps.tokens.sign({ userId: who.userId, tenantId: who.tenantId, sessionId })
  return { access_token: accessToken, token_type: 'Bearer', expires_in: ACCESS_TOKEN_LIFE_S, refresh_token: refreshToken, tenant_id: who.tenantId }
}
