import { createHmac, timingSafeEqual } from 'node:crypto'

/**
 * The path of a call's media socket holds a token that only we can make: whoever has the path is the carrier that was told it. Twilio
 * drops query strings (error 31920), so it stands in the path.
 */
export const mediaToken = (key: Uint8Array, callId: string): string => createHmac('sha256', key).update(`call media ${callId}`).digest('base64url')

/** Constant time; any of the keys, newest first. */
export function isMediaToken(keys: readonly Uint8Array[], callId: string, token: string): boolean {
  const given = Buffer.from(token)
  return keys.some((key) => {
    const own = Buffer.from(mediaToken(key, callId))
    return own.length === given.length && timingSafeEqual(own, given)
  })
}

/** `/v1/media/<carrier>/<call id>/<token>`. */
export const mediaPath = (carrier: string, callId: string, token: string): string => `/v1/media/${carrier}/${callId}/${token}`

export type MediaAddress = { carrier: string; callId: string; token: string }

/** Null: not the path of a media socket. */
export function parseMediaPath(path: string): MediaAddress | null {
  const found = /^\/v1\/media\/([a-z]{1,32})\/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\/([\w-]{43})$/.exec(path)
  return found ? { carrier: found[1]!, callId: found[2]!, token: found[3]! } : null
}
