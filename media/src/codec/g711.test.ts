import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { alaw, mulaw } from './g711.ts'
import type { Law } from './g711.ts'

const sample = fc.integer({ min: -32_768, max: 32_767 })
const byteOf = (law: Law, value: number): number => law.toByte[value & 0xffff]!
const roundTrip = (law: Law, value: number): number => law.toLinear[byteOf(law, value)]!

describe('G.711', () => {
  it('mu-law has the output values of table 2a, times four for 16 bits', () => {
    // The last value of each positive segment, from 0xFF (segment 1) down to 0x80 (segment 8).
    const ends = [0xf0, 0xe0, 0xd0, 0xc0, 0xb0, 0xa0, 0x90, 0x80].map((byte) => mulaw.toLinear[byte])
    expect(ends).toEqual([30, 93, 219, 471, 975, 1983, 3999, 8031].map((value) => value * 4))
    expect([mulaw.toLinear[0xff], mulaw.toLinear[0x7f], mulaw.toLinear[0x00]]).toEqual([0, 0, -32_124])
  })

  it('A-law has the output values of table 1a, times eight for 16 bits', () => {
    const ends = [0x8f, 0x9f, 0xaf, 0xbf, 0xcf, 0xdf, 0xef, 0xff].map((code) => alaw.toLinear[code ^ 0x55])
    expect(ends).toEqual([31, 63, 126, 252, 504, 1008, 2016, 4032].map((value) => value * 8))
    expect([alaw.toLinear[0xd5], alaw.toLinear[0x55]]).toEqual([8, -8])
  })

  it('calls silence 0xFF in mu-law and 0xD5 in A-law', () => {
    expect([mulaw.silence, alaw.silence]).toEqual([0xff, 0xd5])
  })

  it('gives every byte back that it decodes, but for the second zero of mu-law', () => {
    const changed = (law: Law): number[] => Array.from({ length: 256 }, (_, byte) => byte).filter((byte) => byteOf(law, law.toLinear[byte]!) !== byte)
    expect([changed(mulaw), changed(alaw)]).toEqual([[0x7f], []])
  })

  it.each([['mu-law', mulaw], ['A-law', alaw]] as const)('%s: a second passage changes nothing', (_, law) => {
    fc.assert(fc.property(sample, (value) => roundTrip(law, roundTrip(law, value)) === roundTrip(law, value)))
  })

  it.each([['mu-law', mulaw], ['A-law', alaw]] as const)('%s: louder in is never quieter out', (_, law) => {
    fc.assert(fc.property(sample, sample, (a, b) => Math.sign(roundTrip(law, a) - roundTrip(law, b)) * Math.sign(a - b) >= 0))
  })

  // Sixteen steps to a segment that ends at twice its beginning: half a step is a thirty-second of the value (mu-law: of the biased value).
  it.each([['mu-law', mulaw, 132], ['A-law', alaw, 128]] as const)('%s: the error is at most half a step', (_, law, bias) => {
    fc.assert(fc.property(sample, (value) => Math.abs(roundTrip(law, value) - value) <= (Math.abs(value) + bias) / 32 + 4))
  })

  it.each([['mu-law', mulaw], ['A-law', alaw]] as const)('%s: both polarities are treated alike', (_, law) => {
    fc.assert(fc.property(sample, (value) => byteOf(law, ~value) === (byteOf(law, value) ^ 0x80)))
  })
})
