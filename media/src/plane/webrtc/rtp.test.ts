import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createDecoder, createEncoder, openDecoder, openEncoder } from '../../codec/index.ts'
import type { Pcm } from '../../frame.ts'
import { DCEP_ACK, PPID, readOpen, readText } from './dcep.ts'
import { Inbound } from './inbound.ts'
import { Outbound } from './outbound.ts'
import { readRtp, timestampAhead, writeRtpHeader } from './rtp.ts'
import type { RtpPacket } from './rtp.ts'
import { strength, tone } from './testing.ts'

const PCMU = { encoding: 'pcmu', sampleRateHz: 8_000 } as const

describe('an RTP packet', () => {
  it('is read as it was written', () => {
    fc.assert(
      fc.property(fc.nat(127), fc.boolean(), fc.nat(0xffff), fc.nat(0xffff_ffff), fc.nat(0xffff_ffff), fc.uint8Array({ maxLength: 300 }), (payloadType, marker, sequence, timestamp, ssrc, payload) => {
        const bytes = Buffer.alloc(12 + payload.length)
        writeRtpHeader(bytes, { payloadType, marker, sequence, timestamp, ssrc })
        bytes.set(payload, 12)
        const packet = readRtp(bytes)!
        expect(packet).toEqual({ payloadType, sequence, timestamp, ssrc, payload: Buffer.from(payload) })
      }),
    )
  })

  it('is read past sources, an extension and padding', () => {
    const bytes = Buffer.from([0xb1, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 9, 9, 9, 9, 0xbe, 0xde, 0, 1, 1, 1, 1, 1, 0x61, 0x62, 0, 2])
    expect(readRtp(bytes)!.payload.toString()).toBe('ab')
  })

  it('is null for any bytes that are none, and never a read past the end', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => void readRtp(Buffer.from(bytes))), { numRuns: 2_000 })
    expect(readRtp(Buffer.from([0x80, 0, 0, 1]))).toBeNull()
    expect(readRtp(Buffer.alloc(20))).toBeNull()
  })

  it('counts round the end of its counters', () => {
    expect([timestampAhead(10, 0xffff_fff6), timestampAhead(0xffff_fff6, 10)]).toEqual([20, -20])
  })
})

/** `n` packets of mu-law, all bytes of the first being 1, of the second 2, ... from just before the counters turn over. */
const FIRST = { sequence: 65_500, timestamp: 0xffff_ff00 }
function packets(n: number, samples = 160): RtpPacket[] {
  return Array.from({ length: n }, (_, i) => ({
    payloadType: 0,
    sequence: (FIRST.sequence + i) & 0xffff,
    timestamp: (FIRST.timestamp + i * samples) >>> 0,
    ssrc: 7,
    payload: Buffer.alloc(samples, (i % 100) + 1),
  }))
}

/** Which packet a sample is from; 0 for silence. */
const ORIGIN = new Map([...createDecoder(PCMU).decode(Uint8Array.from({ length: 100 }, (_, i) => i + 1))].map((sample, i) => [sample, i + 1]))

function receiver(): { inbound: Inbound; levels: number[]; lengths: Set<number> } {
  const levels: number[] = []
  const lengths = new Set<number>()
  const inbound = new Inbound({
    decoder: createDecoder(PCMU),
    payloadType: 0,
    clockRateHz: 8_000,
    onFrame(pcm) {
      levels.push(ORIGIN.get(pcm[80]!) ?? 0)
      lengths.add(pcm.length)
    },
  })
  return { inbound, levels, lengths }
}

const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i + 1)

describe('inbound sound', () => {
  it('comes out once and in order, however the network shuffles it within 60 ms and repeats it', () => {
    const shuffled = fc.array(fc.nat(3), { minLength: 40, maxLength: 40 })
    fc.assert(
      fc.property(shuffled, fc.array(fc.boolean(), { minLength: 40, maxLength: 40 }), (delays, repeats) => {
        const { inbound, levels } = receiver()
        // The first sets the beginning, so it is not overtaken.
        const [first, ...rest] = packets(40)
        const arrival = rest.flatMap((packet, i) => (repeats[i] ? [{ packet, at: i + delays[i]! * 0.9 }, { packet, at: i + delays[i]! }] : [{ packet, at: i + delays[i]! * 0.9 }]))
        arrival.sort((a, b) => a.at - b.at)
        inbound.packet(first!, 0)
        for (const { packet, at } of arrival) inbound.packet(packet, at * 20)
        expect(levels).toEqual(upTo(40))
      }),
    )
  })

  it('has silence of the right length where packets are lost', () => {
    const { inbound, levels } = receiver()
    packets(20).forEach((packet, i) => i !== 5 && i !== 6 && inbound.packet(packet, i * 20))
    expect(levels).toEqual([1, 2, 3, 4, 5, 0, 0, ...upTo(20).slice(7)])
    expect(inbound.stats.lostFrames).toBe(2)
  })

  it('goes on as silence while nothing comes, and drops what comes too late for it', () => {
    const { inbound, levels } = receiver()
    const all = packets(40)
    for (let i = 0; i < 5; i++) inbound.packet(all[i]!, i * 20)
    for (let now = 100; now < 500; now += 20) inbound.tick(now)
    // 200 ms are waited for (until 280), then 11 frames of silence pass. The network gives everything at once.
    for (let i = 5; i < 30; i++) inbound.packet(all[i]!, 500)
    expect(levels.slice(0, 5)).toEqual([1, 2, 3, 4, 5])
    expect(levels.slice(5, 16)).toEqual(Array.from({ length: 11 }, () => 0))
    expect(levels.slice(16)).toEqual(upTo(30).slice(16))
    expect(levels).toHaveLength(30)
  })

  it('makes frames of 20 ms of packets of 10 and of 60', () => {
    for (const samples of [80, 480, 200]) {
      const { inbound, lengths, levels } = receiver()
      for (const packet of packets(24, samples)) inbound.packet(packet, 0)
      expect(lengths).toEqual(new Set([160]))
      expect(levels).toHaveLength((24 * samples) / 160)
    }
  })

  it('begins anew with another source or after a jump, without an hour of silence', () => {
    const { inbound, levels } = receiver()
    const [a, b, c, ...elsewhere] = packets(6)
    inbound.packet(a!, 0)
    inbound.packet({ ...b!, ssrc: 8, timestamp: 5, sequence: 9 }, 20)
    inbound.packet({ ...c!, ssrc: 8, timestamp: 165 + 8_000 * 3_600, sequence: 10 }, 40)
    // Two numbers from nowhere may be a mistake, the third makes them a stream.
    elsewhere.forEach((packet, index) => inbound.packet({ ...packet, ssrc: 8, timestamp: index * 160, sequence: 30_000 + index }, 60 + index * 20))
    expect(levels).toEqual([1, 2, 3, 6])
  })

  it('is limited: a flood is not decoded, another payload type is not heard', () => {
    const { inbound, levels } = receiver()
    for (const packet of packets(1_000)) inbound.packet(packet, 0)
    expect(levels.length).toBeLessThanOrEqual(250)
    expect(inbound.stats.flooded).toBe(750)
    const other = receiver()
    other.inbound.packet({ ...packets(1)[0]!, payloadType: 13 }, 0)
    expect(other.levels).toEqual([])
  })

  it('hears an Opus stream through holes and bytes that are no Opus', async () => {
    const format = { encoding: 'opus', sampleRateHz: 24_000 } as const
    const [encoder, decoder] = [await openEncoder(format), await openDecoder(format)]
    const heard: Pcm[] = []
    const inbound = new Inbound({ decoder, payloadType: 111, clockRateHz: 48_000, onFrame: (pcm) => heard.push(pcm.slice()) })
    const next = tone(440, 24_000)
    for (let i = 0; i < 100; i++) {
      const payload = Buffer.from(encoder.encode(next()))
      if (i % 10 !== 7) inbound.packet({ payloadType: 111, sequence: i, timestamp: i * 960, ssrc: 1, payload: i % 10 === 3 ? Buffer.from([0xff, 0xff, 0xff]) : payload }, i * 20)
    }
    inbound.tick(99 * 20 + 200) // The last two waited for the one before them.
    expect(heard).toHaveLength(101)
    expect(new Set(heard.map((pcm) => pcm.length))).toEqual(new Set([480]))
    expect(inbound.stats).toMatchObject({ malformed: 10, lostFrames: 10 })
    expect(strength(Int16Array.from(heard.flatMap((pcm) => [...pcm])), 440, 24_000)).toBeGreaterThan(0.15)
    inbound.close()
    encoder.close()
  })
})

describe('outbound sound', () => {
  function sender(): { send: (nowMs: number) => void; packets: RtpPacket[]; markers: boolean[] } {
    const packets: RtpPacket[] = []
    const markers: boolean[] = []
    let now = 0
    const outbound = new Outbound({
      encoder: createEncoder(PCMU),
      payloadType: 0,
      ssrc: 5,
      clockRateHz: 8_000,
      nowMs: () => now,
      send(bytes) {
        packets.push(readRtp(Buffer.from(bytes))!)
        markers.push(bytes[1]! >= 0x80)
      },
    })
    return { packets, markers, send: (nowMs) => ((now = nowMs), outbound.send(new Int16Array(160))) }
  }

  it('counts one packet and 160 ticks a frame, though the frames jitter', () => {
    const { send, packets, markers } = sender()
    for (const now of [0, 35, 38, 60, 99, 100, 105, 170]) send(now)
    expect(packets.slice(1).map(({ sequence }, i) => (sequence - packets[i]!.sequence) & 0xffff)).toEqual([1, 1, 1, 1, 1, 1, 1])
    expect(packets.slice(1).map(({ timestamp }, i) => timestampAhead(timestamp, packets[i]!.timestamp))).toEqual([160, 160, 160, 160, 160, 160, 160])
    expect(markers).toEqual([true, false, false, false, false, false, false, false])
    expect(packets.every(({ payload }) => payload.length === 160)).toBe(true)
  })

  it('skips the time of a pause and marks the new beginning', () => {
    const { send, packets, markers } = sender()
    for (const now of [0, 20, 1_040, 1_060]) send(now)
    expect(packets.slice(1).map(({ timestamp }, i) => timestampAhead(timestamp, packets[i]!.timestamp))).toEqual([160, 51 * 160, 160])
    expect(markers).toEqual([true, false, true, false])
    expect(new Set(packets.map(({ ssrc }) => ssrc))).toEqual(new Set([5]))
  })
})

describe('the opening of a data channel (RFC 8832)', () => {
  const open = (label: string, protocol: string): Buffer => {
    const header = Buffer.from([3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
    header.writeUInt16BE(Buffer.byteLength(label), 8)
    header.writeUInt16BE(Buffer.byteLength(protocol), 10)
    return Buffer.concat([header, Buffer.from(label + protocol)])
  }

  it('is read with its label and protocol', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.string({ unit: 'grapheme' }), (label, protocol) => {
        expect(readOpen(open(label, protocol))).toEqual({ label, protocol })
      }),
    )
  })

  it('is null when it is an acknowledgement or its lengths do not fit', () => {
    expect(readOpen(DCEP_ACK)).toBeNull()
    expect(readOpen(open('oai-events', '').subarray(0, 15))).toBeNull()
  })

  it('carries text, also as bytes, and the empty text as a byte that is not read', () => {
    expect([PPID.text, PPID.binary, PPID.emptyText, 99].map((ppid) => readText(Buffer.from('é'), ppid))).toEqual(['é', 'é', '', null])
  })
})
