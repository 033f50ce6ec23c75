/** Ogg pages (RFC 3533 §6): packets in order, laced into segments of at most 255 bytes, each page with its own checksum. */

const PAGE_HEADER_BYTES = 27
const MAX_SEGMENTS = 255
const FIRST_PAGE = 0x02
const LAST_PAGE = 0x04

/** CRC-32 with the polynomial 0x04c11db7, neither reflected nor inverted: not the one of zlib. */
const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte << 24
  for (let bit = 0; bit < 8; bit++) value = value & 0x80000000 ? (value << 1) ^ 0x04c11db7 : value << 1
  return value >>> 0
})

export function oggCrc(bytes: Uint8Array): number {
  let crc = 0
  for (const byte of bytes) crc = ((crc << 8) ^ CRC_TABLE[(crc >>> 24) ^ byte]!) >>> 0
  return crc
}

const segmentsOf = (packet: Uint8Array): number => Math.floor(packet.length / MAX_SEGMENTS) + 1

type Page = { packets: Uint8Array[]; segments: number; granule: bigint }

/** Muxes one logical stream. A packet is never split over pages: ours are far shorter than a page. */
export class OggStream {
  readonly #serial: number
  #sequence = 0
  #page: Page = { packets: [], segments: 0, granule: 0n }

  constructor(serial: number) {
    this.#serial = serial
  }

  /** Adds a packet that ends at `granule`; answers a page when the packet did not fit into it any more. */
  add(packet: Uint8Array, granule: bigint): Uint8Array | null {
    const segments = segmentsOf(packet)
    if (segments > MAX_SEGMENTS) throw new RangeError(`A packet of ${packet.length} bytes does not fit into a page.`)
    const full = this.#page.segments + segments > MAX_SEGMENTS ? this.flush() : null
    this.#page.packets.push(packet)
    this.#page.segments += segments
    this.#page.granule = granule
    return full
  }

  /** What waits, as a page; null when nothing does and it is not the last. */
  flush({ last = false } = {}): Uint8Array | null {
    if (this.#page.packets.length === 0 && !last) return null
    const { packets, segments, granule } = this.#page
    this.#page = { packets: [], segments: 0, granule }
    return this.#write(packets, segments, granule, (this.#sequence === 0 ? FIRST_PAGE : 0) | (last ? LAST_PAGE : 0))
  }

  #write(packets: readonly Uint8Array[], segments: number, granule: bigint, flags: number): Uint8Array {
    const bodyBytes = packets.reduce((sum, packet) => sum + packet.length, 0)
    const page = Buffer.alloc(PAGE_HEADER_BYTES + segments + bodyBytes)
    page.write('OggS', 0, 'latin1')
    page[5] = flags
    page.writeBigInt64LE(granule, 6)
    page.writeUInt32LE(this.#serial, 14)
    page.writeUInt32LE(this.#sequence++, 18)
    page[26] = segments
    lace(packets, page)
    page.writeUInt32LE(oggCrc(page), 22)
    return page
  }
}

function lace(packets: readonly Uint8Array[], page: Uint8Array): void {
  let [table, body] = [PAGE_HEADER_BYTES, PAGE_HEADER_BYTES + page[26]!]
  for (const packet of packets) {
    for (let left = packet.length; ; left -= MAX_SEGMENTS) {
      page[table++] = Math.min(left, MAX_SEGMENTS)
      if (left < MAX_SEGMENTS) break
    }
    page.set(packet, body)
    body += packet.length
  }
}
