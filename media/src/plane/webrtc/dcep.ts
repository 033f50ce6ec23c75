/** The Data Channel Establishment Protocol, RFC 8832: how a browser opens a channel inside the SCTP association. */

/** Payload protocol identifiers (RFC 8831 §8). SCTP cannot carry an empty message: it is one byte that is not read. */
export const PPID = { dcep: 50, text: 51, binary: 53, emptyText: 56, emptyBinary: 57 } as const

const OPEN = 0x03
const OPEN_HEADER_BYTES = 12

export const DCEP_ACK = Buffer.from([0x02])

/** Null when the message is no DATA_CHANNEL_OPEN (§5.1), or one whose lengths do not fit. */
export function readOpen(message: Buffer): { label: string; protocol: string } | null {
  if (message.length < OPEN_HEADER_BYTES || message[0] !== OPEN) return null
  const labelBytes = message.readUInt16BE(8)
  const protocolBytes = message.readUInt16BE(10)
  if (message.length < OPEN_HEADER_BYTES + labelBytes + protocolBytes) return null
  const label = message.toString('utf8', OPEN_HEADER_BYTES, OPEN_HEADER_BYTES + labelBytes)
  const protocol = message.toString('utf8', OPEN_HEADER_BYTES + labelBytes, OPEN_HEADER_BYTES + labelBytes + protocolBytes)
  return { label, protocol }
}

/** The text of a message, or null for what is no text. Binary is read as text: a client may send JSON as an ArrayBuffer. */
export function readText(message: Buffer, ppid: number): string | null {
  if (ppid === PPID.emptyText || ppid === PPID.emptyBinary) return ''
  return ppid === PPID.text || ppid === PPID.binary ? message.toString('utf8') : null
}
