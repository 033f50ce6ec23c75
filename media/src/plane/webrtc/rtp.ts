/** RFC 3550 §5.1. */
export const RTP_HEADER_BYTES = 12

export type RtpPacket = { payloadType: number; sequence: number; timestamp: number; ssrc: number; payload: Buffer }

/** Null for bytes that are no RTP packet. `payload` is a view. */
export function readRtp(bytes: Buffer): RtpPacket | null {
  if (bytes.length < RTP_HEADER_BYTES || bytes[0]! >> 6 !== 2) return null
  let start = RTP_HEADER_BYTES + 4 * (bytes[0]! & 0x0f)
  if (bytes[0]! & 0x10) {
    if (start + 4 > bytes.length) return null
    start += 4 + 4 * bytes.readUInt16BE(start + 2)
  }
  const padding = bytes[0]! & 0x20 ? bytes.at(-1)! : 0
  if (start + padding > bytes.length) return null
  return {
    payloadType: bytes[1]! & 0x7f,
    sequence: bytes.readUInt16BE(2),
    timestamp: bytes.readUInt32BE(4),
    ssrc: bytes.readUInt32BE(8),
    payload: bytes.subarray(start, bytes.length - padding),
  }
}

export type RtpHeader = { payloadType: number; marker: boolean; sequence: number; timestamp: number; ssrc: number }

/** Writes the 12 bytes of a header to the start of `out`. Sequence and timestamp turn over by themselves. */
export function writeRtpHeader(out: Buffer, { payloadType, marker, sequence, timestamp, ssrc }: RtpHeader): void {
  out[0] = 0x80
  out[1] = payloadType | (marker ? 0x80 : 0)
  out.writeUInt16BE(sequence & 0xffff, 2)
  out.writeUInt32BE(timestamp >>> 0, 4)
  out.writeUInt32BE(ssrc >>> 0, 8)
}

/** How far `a` is ahead of `b`, on a counter of 32 bits that turns over; negative when behind. */
export const timestampAhead = (a: number, b: number): number => (a - b) | 0
