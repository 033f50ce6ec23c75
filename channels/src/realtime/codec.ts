import { fromBeta, toBeta } from './beta.ts'
import { parseClientEvent, parseClientMessage, type Parsed } from './inbound.ts'
import type { ServerEvent } from './server-events.ts'

/** Text of the socket on one side, events of the session on the other. */
export type RealtimeCodec = {
  /** Never throws. */
  read(message: string): Parsed
  /** The text to send, or null for an event that this client's protocol does not have. */
  write(event: ServerEvent): string | null
}

const GA: RealtimeCodec = { read: parseClientMessage, write: (event) => JSON.stringify(event) }

const BETA: RealtimeCodec = {
  read(message) {
    try {
      return parseClientEvent(fromBeta(JSON.parse(message)))
    } catch {
      return parseClientMessage(message)
    }
  },
  write(event) {
    const beta = toBeta(event)
    return beta && JSON.stringify(beta)
  },
}

export const realtimeCodec = (beta: boolean): RealtimeCodec => (beta ? BETA : GA)
