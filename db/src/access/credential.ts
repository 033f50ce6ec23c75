/** What a caller showed: an API key by its first letters, anything else a session's access token. */
export type Credential = { kind: 'api_key' | 'access_token'; text: string }

type Headers = { authorization?: string; 'x-api-key'?: string | string[] }

const BEARER = /^Bearer +(\S+)$/i

/** `Authorization: Bearer` or `X-API-Key`. Null: neither. */
export function credentialOf(headers: Headers): Credential | null {
  const key = headers['x-api-key']
  return sorted(BEARER.exec(headers.authorization ?? '')?.[1] ?? (typeof key === 'string' ? key : null))
}

/**
 * The same for a socket's handshake, where browsers cannot set headers: also `?access_token=`. Sockets only, because the queries
 * of plain requests end up in the logs of proxies.
 */
export function socketCredentialOf(headers: Headers, url: string): Credential | null {
  return credentialOf(headers) ?? sorted(new URL(url, 'ws://local').searchParams.get('access_token'))
}

const sorted = (text: string | null): Credential | null => (text === null || text === '' ? null : { kind: text.startsWith('tl_') ? 'api_key' : 'access_token', text })
