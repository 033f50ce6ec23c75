import { createHash, createSecretKey, randomBytes } from 'node:crypto'
import { AppError, Id, type Clock } from '@trunkline/core'
import type { Keyring } from '@trunkline/db'
import { jwtVerify, SignJWT } from 'jose'
import { z } from 'zod'

export const ACCESS_TOKEN_LIFE_S = 15 * 60
export const REFRESH_TOKEN_LIFE_MS = 30 * 24 * 3_600_000

const ISSUER = 'trunkline'
/** RFC 9068 §2.1: a token of another use must not pass for an access token. */
const TYPE = 'at+jwt'
const TOKEN_MAX = 2_048

const Claims = z.object({ sub: Id, tid: Id, sid: Id })

export type AccessTokens = {
  sign(session: { userId: string; tenantId: string; sessionId: string }): Promise<string>
  /** Signature, age and type only; whether the session still stands is asked separately. Throws AppError `invalid_token`. */
  verify(token: string): Promise<{ sessionId: string }>
}

export function createAccessTokens(keyring: Keyring, clock: Clock): AccessTokens {
  // Key objects: jose imports each once and remembers it.
  const [newest, ...older] = keyring.deriveAll('access tokens').map((key) => createSecretKey(key))
  return {
    sign: ({ userId, tenantId, sessionId }) => {
      const nowS = Math.floor(clock.nowMs() / 1000)
      return new SignJWT({ tid: tenantId, sid: sessionId })
        .setProtectedHeader({ alg: 'HS256', typ: TYPE })
        .setSubject(userId)
        .setIssuer(ISSUER)
        .setIssuedAt(nowS)
        .setExpirationTime(nowS + ACCESS_TOKEN_LIFE_S)
        .sign(newest!)
    },
    async verify(token) {
      if (token.length > TOKEN_MAX) throw new AppError('invalid_token')
      for (const key of [newest!, ...older]) {
        const verified = await jwtVerify(token, key, { algorithms: ['HS256'], issuer: ISSUER, typ: TYPE, currentDate: new Date(clock.nowMs()) }).catch(() => null)
        const claims = Claims.safeParse(verified?.payload)
        if (claims.success) return { sessionId: claims.data.sid }
      }
      throw new AppError('invalid_token')
    },
  }
}

/** Refresh tokens and links in mails: 256 random bits, of which we keep a SHA-256. */
export const newSecret = (prefix: string): string => `${prefix}${randomBytes(32).toString('base64url')}`
export const hashSecret = (secret: string): Buffer => createHash('sha256').update(secret).digest()
