import { credentialOf, socketCredentialOf, type Credential } from '@trunkline/db'

// A browser's WebSocket can set no header but its sub-protocols, so the credential may travel as one of them, beside the one that is
// spoken: new WebSocket(url, ['trunkline-events', 'trunkline-token.<credential>']). API keys and JWTs have only characters that a sub-protocol
// may have (RFC 6455 §4.1, RFC 9110 §5.6.2). It is never answered with.

export const EVENTS_PROTOCOL = 'trunkline-events'
const TOKEN = 'trunkline-token.'

type Handshake = { headers: { authorization?: string; 'x-api-key'?: string | string[]; 'sec-websocket-protocol'?: string }; url: string }

/** A header as everywhere, `?access_token=`, or a sub-protocol. */
export function handshakeCredentialOf({ headers, url }: Handshake): Credential | null {
  const offered = headers['sec-websocket-protocol']?.split(',').map((name) => name.trim()) ?? []
  const token = offered.find((name) => name.startsWith(TOKEN))
  return socketCredentialOf(headers, url) ?? (token === undefined ? null : credentialOf({ authorization: `Bearer ${token.slice(TOKEN.length)}` }))
}

/** The sub-protocol that is answered with: the first that is not a secret. False: none. */
export const spokenProtocol = (offered: Set<string>): string | false => [...offered].find((name) => !name.startsWith(TOKEN)) ?? false
