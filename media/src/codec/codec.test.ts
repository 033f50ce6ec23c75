import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createDecoder, createEncoder, openDecoder, openEncoder } from './index.ts'
import type { Decoder, PlainFormat } from './index.ts'

const format = (encoding: PlainFormat['encoding']): PlainFormat => ({ encoding, sampleRateHz: 8_000 })
const pcm = fc.int16Array({ maxLength: 400 })
const OPUS = { encoding: 'opus', sampleRateHz: 48_000 } as const

function tone(samples: number, from: number, hz = 300, rate = 48_000): Int16Array {
  return Int16Array.from({ length: samples }, (_, i) => 12_000 * Math.sin((2 * Math.PI * hz * (from + i)) / rate))
}

const energy = (pcm: Int16Array): number => pcm.reduce((sum, value) => sum + value * value, 0) / pcm.length

describe('plain codecs', () => {
  it.each(['pcm_s16le', 'pcm_s16be'] as const)('%s loses nothing', (encoding) => {
    fc.assert(
      fc.property(pcm, (sound) => {
        const bytes = createEncoder(format(encoding)).encode(sound)
        expect(createDecoder(format(encoding)).decode(bytes)).toEqual(sound)
      }),
    )
  })

  it('L16 is in network order (RFC 3551 §4.5.11)', () => {
    const sound = Int16Array.of(0x0102, -2)
    expect([...createEncoder(format('pcm_s16be')).encode(sound)]).toEqual([1, 2, 0xff, 0xfe])
    expect([...createEncoder(format('pcm_s16le')).encode(sound)]).toEqual([2, 1, 0xfe, 0xff])
  })

  it.each(['pcmu', 'pcma', 'pcm_s16le', 'pcm_s16be'] as const)('%s writes the same into a buffer of the caller, from a slice at an odd address too', (encoding) => {
    fc.assert(
      fc.property(pcm, (sound) => {
        const [encoder, decoder] = [createEncoder(format(encoding)), createDecoder(format(encoding))]
        const bytes = encoder.encode(sound)
        const room = new Uint8Array(bytes.length + 3)
        expect(encoder.encodeInto(sound, room.subarray(1))).toBe(bytes.length)
        const slice = room.subarray(1, 1 + bytes.length)
        expect(slice).toEqual(bytes)
        const back = new Int16Array(sound.length + 1)
        expect(decoder.decodeInto(slice, back)).toBe(sound.length)
        expect(back.subarray(0, sound.length)).toEqual(decoder.decode(bytes))
      }),
    )
  })

  it('refuses half a sample and a buffer that is too small', () => {
    expect(() => createDecoder(format('pcm_s16le')).decode(new Uint8Array(3))).toThrow('half a sample')
    expect(() => createEncoder(format('pcmu')).encodeInto(new Int16Array(160), new Uint8Array(159))).toThrow(RangeError)
  })

  it('conceals with silence', () => {
    expect(createDecoder(format('pcmu')).conceal(160)).toEqual(new Int16Array(160))
  })
})

/** Quiet up to packet 20, then a tone: packet 20 is lost, so that only its copy in packet 21 knows of the tone's beginning. */
async function lostOnset(fec: boolean): Promise<{ decoder: Decoder; following: Uint8Array }> {
  const encoder = await openEncoder(OPUS, { fec })
  const decoder = await openDecoder(OPUS)
  const packets = Array.from({ length: 22 }, (_, n) => encoder.encode(n < 20 ? new Int16Array(960) : tone(960, n * 960)))
  for (const packet of packets.slice(0, 20)) decoder.decode(packet)
  return { decoder, following: packets[21]! }
}

describe('Opus', () => {
  it('carries 20 ms frames of 48 kHz and keeps the tone and its level', async () => {
    const [encoder, decoder] = [await openEncoder(OPUS), await openDecoder(OPUS)]
    let level = 0
    for (let n = 0; n < 20; n++) {
      const packet = encoder.encode(tone(960, n * 960))
      expect(packet.length).toBeLessThan(400)
      const sound = decoder.decode(packet)
      expect(sound.length).toBe(960)
      level = energy(sound)
    }
    expect(level / energy(tone(960, 0))).toBeCloseTo(1, 0)
    encoder.close()
    decoder.close()
  })

  it('spends the bitrate that it was given', async () => {
    const size = async (bitrateBps: number): Promise<number> => {
      const encoder = await openEncoder(OPUS, { bitrateBps, fec: false })
      const noise = Int16Array.from({ length: 48_000 }, (_, i) => ((i * 7_919) % 20_011) - 10_000)
      return Array.from({ length: 50 }, (_, n) => encoder.encode(noise.subarray(n * 960, n * 960 + 960)).length).reduce((a, b) => a + b, 0)
    }
    expect((await size(16_000)) * 2).toBeLessThan(await size(64_000))
  })

  it('fills a lost frame from the copy in the packet after it', async () => {
    const { decoder, following } = await lostOnset(true)
    const gap = decoder.conceal(960, following)
    expect(gap.length).toBe(960)
    expect(energy(gap) / energy(tone(960, 0))).toBeGreaterThan(0.1)
    expect(decoder.decode(following).length).toBe(960)
  })

  it('has nothing to fill it with when the sender made no copies', async () => {
    const { decoder, following } = await lostOnset(false)
    expect(energy(decoder.conceal(960, following))).toBeLessThan(100)
  })

  it('guesses on from what it heard, over gaps longer than a packet too', async () => {
    const [encoder, decoder] = [await openEncoder(OPUS), await openDecoder(OPUS)]
    for (let n = 0; n < 20; n++) decoder.decode(encoder.encode(tone(960, n * 960)))
    expect(energy(decoder.conceal(960)) / energy(tone(960, 0))).toBeGreaterThan(0.3)
    expect(decoder.conceal(48_000).length).toBe(48_000)
    expect(decoder.conceal(1_000, encoder.encode(tone(960, 0))).length).toBe(1_000)
  })

  it('refuses bytes that are no packet, without losing its voice', async () => {
    const [encoder, decoder] = [await openEncoder(OPUS), await openDecoder(OPUS)]
    for (const bad of [new Uint8Array(0), new Uint8Array(70_000), Uint8Array.of(3, 0)]) {
      expect(() => decoder.decode(bad)).toThrow(expect.objectContaining({ code: 'invalid_request' }))
    }
    expect(decoder.decode(encoder.encode(tone(960, 0))).length).toBe(960)
  })

  it('survives any bytes', async () => {
    const decoder = await openDecoder(OPUS)
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        try {
          expect(decoder.decode(bytes).length % 120).toBe(0)
        } catch (error) {
          expect(error).toMatchObject({ code: 'invalid_request' })
        }
      }),
    )
  })

  it('refuses settings that libopus does not know', async () => {
    await expect(openEncoder(OPUS, { complexity: 11 })).rejects.toMatchObject({ code: 'invalid_request', param: 'opus' })
  })
})
