import { randomBytes } from 'node:crypto'
import { AppError, Id, type Clock } from '@trunkline/core'
import type { Keyring } from '@trunkline/db'
import { jwtVerify, SignJWT } from 'jose'
import { z } from 'zod'

const LIFE_S = 30 * 24 * 3_600
const ISSUER = 'trunkline'
/** A token of another use must not pass for a visitor's (RFC 8725 §3.11). */
const TYPE = 'visitor+jwt'
const TOKEN_MAX = 2_048

const Claims = z.object({ sub: z.string().regex(/^[\w-]{1,128}$/), num: Id })

export type SessionTokens = {
  sign(visitorId: string, numberId: Id): Promise<{ token: string; expiresAt: Date }>
  /** The visitor's id. Throws AppError `invalid_token`: forged, expired, of another use or of another number. */
  verify(token: string, numberId: Id): Promise<string>
}

/** A visitor has no account: the signed token is all there is, for one number, for 30 days since it was last renewed. */
export function createSessionTokens(keyring: Keyring, clock: Clock): SessionTokens {
  const keys = keyring.deriveAll('webchat session')
  return {
    async sign(visitorId, numberId) {
      const nowS = Math.floor(clock.nowMs() / 1000)
      const token = await new SignJWT({ num: numberId })
        .setProtectedHeader({ alg: 'HS256', typ: TYPE })
        .setSubject(visitorId)
        .setIssuer(ISSUER)
        .setIssuedAt(nowS)
        .setExpirationTime(nowS + LIFE_S)
        .sign(keys[0]!)
      return { token, expiresAt: new Date((nowS + LIFE_S) * 1000) }
    },
    async verify(token, numberId) {
      if (token.length > TOKEN_MAX) throw new AppError('invalid_token')
      for (const key of keys) {
        const verified = await jwtVerify(token, key, { algorithms: ['HS256'], issuer: ISSUER, typ: TYPE, currentDate: new Date(clock.nowMs()) }).catch(() => null)
        const claims = Claims.safeParse(verified?.payload)
        if (claims.success && claims.data.num === numberId) return claims.data.sub
      }
      throw new AppError('invalid_token')
    },
  }
}

export const newVisitorId = (): string => `v_${randomBytes(18).toString('base64url')}`
