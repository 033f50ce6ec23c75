import { createEncoder as createOpusEncoder, Application } from 'libopus-wasm'
import { readdirSync, readFileSync } from 'node:fs'
import { AudioSample, AudioSampleSource, BufferTarget, EncodedAudioPacketSource, EncodedPacket, Mp4OutputFormat, Output, WebMOutputFormat } from 'mediabunny'
import { afterAll, describe, expect, it, vi } from 'vitest'
import type { Pcm } from '../frame.ts'
import { wavBytes } from '../tts/container.ts'
import { DECODED_RATE_HZ, openFileWriter, SoundReader, type WritableFormat } from './index.ts'

const RATE_HZ = 24_000
const reader = new SoundReader({ threads: 1 })
afterAll(() => reader.close())

const tone = (hz: number, ms: number, rateHz: number, gain = 8_000): Pcm => Int16Array.from({ length: (rateHz * ms) / 1_000 }, (_, at) => gain * Math.sin((2 * Math.PI * hz * at) / rateHz))
const decode = (bytes: Uint8Array, maxMs = 60_000, signal = new AbortController().signal) => reader.decode(Uint8Array.from(bytes), maxMs, signal)

/** How much of a tone is in it, against all that is in it (Goertzel). */
function share(pcm: Pcm, hz: number, rateHz: number): number {
  const coefficient = 2 * Math.cos((2 * Math.PI * hz) / rateHz)
  let [before, last, all] = [0, 0, 0]
  for (const sample of pcm) {
    ;[before, last] = [last, sample + coefficient * last - before]
    all += sample * sample
  }
  return (2 * (before * before + last * last - coefficient * before * last)) / (all * pcm.length)
}

async function written(format: WritableFormat, pcm: Pcm): Promise<Uint8Array> {
  const writer = await openFileWriter(format, RATE_HZ)
  const parts: Uint8Array[] = []
  // Uneven pieces: nothing may depend on where they are cut.
  for (let at = 0, step = 1_000; at < pcm.length; at += step, step = (step * 7) % 4_999) parts.push(await writer.write(pcm.subarray(at, at + step)))
  parts.push(await writer.end())
  writer.close()
  return Buffer.concat(parts)
}

function wavOf(format: number, channels: number, bits: number, data: Buffer, rateHz = RATE_HZ): Buffer {
  const head = Buffer.alloc(44)
  head.write('RIFF', 0, 'latin1')
  head.writeUInt32LE(36 + data.length, 4)
  head.write('WAVEfmt ', 8, 'latin1')
  head.writeUInt32LE(16, 16)
  head.writeUInt16LE(format, 20)
  head.writeUInt16LE(channels, 22)
  head.writeUInt32LE(rateHz, 24)
  head.writeUInt32LE((rateHz * channels * bits) / 8, 28)
  head.writeUInt16LE((channels * bits) / 8, 32)
  head.writeUInt16LE(bits, 34)
  head.write('data', 36, 'latin1')
  head.writeUInt32LE(data.length, 40)
  return Buffer.concat([head, data])
}

async function webm(pcm: Pcm): Promise<Uint8Array> {
  const encoder = await createOpusEncoder({ channels: 1, sampleRate: RATE_HZ, application: Application.Audio })
  const target = new BufferTarget()
  const output = new Output({ format: new WebMOutputFormat(), target })
  const source = new EncodedAudioPacketSource('opus')
  output.addAudioTrack(source)
  await output.start()
  const frame = RATE_HZ / 50
  for (let at = 0; at + frame <= pcm.length; at += frame) {
    const packet = new EncodedPacket(encoder.encode(pcm.subarray(at, at + frame)).slice(), 'key', at / RATE_HZ, 0.02)
    await source.add(packet, { decoderConfig: { codec: 'opus', numberOfChannels: 1, sampleRate: 48_000 } })
  }
  await output.finalize()
  return new Uint8Array(target.buffer!)
}

/** Two channels, as phones record it. The writer has registered the encoder. */
async function m4a(pcm: Pcm): Promise<Uint8Array> {
  await written('aac', tone(440, 50, RATE_HZ))
  const target = new BufferTarget()
  const output = new Output({ format: new Mp4OutputFormat(), target })
  const source = new AudioSampleSource({ codec: 'aac', bitrate: 128_000 })
  output.addAudioTrack(source)
  await output.start()
  const stereo = Int16Array.from({ length: pcm.length * 2 }, (_, at) => pcm[at >> 1]!)
  const sample = new AudioSample({ data: stereo, format: 's16', numberOfChannels: 2, sampleRate: RATE_HZ, timestamp: 0 })
  await source.add(sample)
  sample.close()
  await output.finalize()
  return new Uint8Array(target.buffer!)
}

/** Processes of ours, whichever thread began them. */
const children = (): number => readdirSync('/proc/self/task').flatMap((task) => readFileSync(`/proc/self/task/${task}/children`, 'utf8').split(' ').filter((pid) => pid.trim() !== '')).length

/** A quarter of a second of 440 Hz at 8 kHz, made with `sox -n -r 8000 -c 1 -b 16 tone.flac synth 0.25 sine 440`. */
const FLAC = Buffer.from(
  'ZkxhQwAAACIQABAAAAOlAAOlAfQA8AAAB9B1TK7ta/a2Fx8io8yWrinEhAAARCAAAAByZWZlcmVuY2UgbGliRkxBQyAxLjQuMiAyMDIyMTAyMgEAAAAYAAAAQ29tbWVudD1Qcm9jZXNzZWQgYnkgU29Y//h0CAAHz51CA0ceC7U8PgAIoAAAAAAAAAAAGwAABKAAwABOAPABKAXANwEgFoPgQhsPRwfmj9ch2tlqvy163SeqO0nvmemt180cEUNEE0FUNEckcksEEsEUEE0VEE0NEMEMMEsEEMkEFUE0kkUUcEEsk8Mkc0Uk0UkkUUUMcMEcEUENEU0gkSWsybLRERIFlpz7KQkEiJV/0yWCJEFy0c9IsRERK0968SIhIlJo/miiEiFos0/pJCKBSKp36oRIgtF+0fJEiIiyZNp9IhIiIrvfSSQhJBGWjvykIiJJTW5qkEUIikjTmrESQhCYS587JISQULW6MmkhIgqEa37ExQkREVe0ZNJISEkWto7WKIJKC9PfWRISChd8/GxIiIoJr3bSUChCkXztllCJCSiOTeqJCREiTT0dkoREFFqc/WSEkIlX7mTFBEhRS947LQoiFEtPjLkKIKJJTt1xESEUVfvTiQUQkl8afSISIiSTRkNSUISFErno0oUJCSVwmR60UJBIlX/akREIkiadvSSFCIi17ucSIiKJdva8RREJRUafrJIhIUlzo0yQoSFFDfvqhISEiat+yywLESLL2Qy5CQkCYVpzTqCSESUpz7LJCSERfW5lIiEhJK0c7FkKIJDF//WRIUEVJz+4hRChImjR3RJCKELSO2mTERILFF/NrRQkJIV/86REJESJo5zLJCQhIWWnQy5EgkRQvnziyQkRFFutrSIiELFa/9JESChJOdOpIQohZduOWRISEku+fShCiCkJyf+qERIhatpmtIkJBJWn98RCRERXbQyZJEIiJLW0NSiJCJFlOemokJChRf+vhIiEhJE1udkUJCIlX7uxQhQol3nNFoSIiK7/9JIhEi1eaesUIkQtabnWJQSCUI7n4qhEJESSaNbLRCIhREZbnSiJBFCy7fVEiEiQu401lIgiFQv7dRESCiFO2naKCIkUXQyF8sRIkKV8c1koIiRSp3zFhYRFFpDjTJihISJL40ashQSIkTt20oSEQlJTtplERISSmQjX8khIiExNPviyCQigvX7pIiQiJZN39QoRIkvR7XFEJEKl8d0SKCKCa5/5MJQSEWlhknghjghgkkkgmmiigghgjglghikkgoikkiiijgjinigiigokkkkgkjihjghjiigkkkimgolqnknijgggiimgun0v4569+Sokf3/2u0c1VqRaRF54LwgDcFQEIGwCUB4AVgCgAcgAqAAVgAAEQIbf',
  'base64',
)

describe('files of sound', () => {
  it.each(['wav', 'mp3', 'opus', 'aac'] as const)('a file of %s that we wrote is read again: the same sound, the same length', async (format) => {
    const file = await decode(await written(format, tone(440, 1_500, RATE_HZ)))
    // Encoders add up to two frames of theirs.
    expect(file.durationMs).toBeGreaterThanOrEqual(1_490)
    expect(file.durationMs).toBeLessThan(1_640)
    expect(share(file.pcm, 440, DECODED_RATE_HZ)).toBeGreaterThan(0.9)
  })

  it('raw PCM has no header and every sample', async () => {
    const pcm = tone(300, 100, RATE_HZ)
    expect(Buffer.from(await written('pcm', pcm))).toEqual(Buffer.from(pcm.buffer))
  })

  it('WebM with Opus, as browsers record it', async () => {
    const file = await decode(await webm(tone(600, 1_000, RATE_HZ)))
    expect(file).toMatchObject({ container: 'webm', codec: 'opus' })
    expect(share(file.pcm, 600, DECODED_RATE_HZ)).toBeGreaterThan(0.9)
  })

  it('M4A: AAC in MP4, as phones record it', async () => {
    const file = await decode(await m4a(tone(600, 1_000, RATE_HZ)))
    expect(file).toMatchObject({ container: 'mp4', codec: 'aac' })
    expect(Math.abs(file.durationMs - 1_000)).toBeLessThan(150)
    expect(share(file.pcm, 600, DECODED_RATE_HZ)).toBeGreaterThan(0.9)
  })

  it('AAC that is damaged is refused or read, and the next is read', async () => {
    const whole = await written('aac', tone(440, 1_000, RATE_HZ))
    const damaged = Uint8Array.from(whole, (byte, at) => (at > 400 && at % 7 === 0 ? byte ^ 0x5a : byte))
    await decode(damaged).catch((error: unknown) => expect(error).toMatchObject({ name: 'SoundFileError' }))
    await expect(decode(whole.subarray(0, 5))).rejects.toMatchObject({ name: 'SoundFileError' })
    expect((await decode(whole)).codec).toBe('aac')
  })

  it('AAC that is too long is refused; what was called off leaves no process behind', async () => {
    const second = Buffer.from(await written('aac', tone(440, 1_000, RATE_HZ)))
    const long = Buffer.concat(Array.from({ length: 3_000 }, () => second))
    await expect(decode(long, 2_000)).rejects.toMatchObject({ fault: 'too_long' })
    const stop = new AbortController()
    await vi.waitFor(() => expect(children()).toBe(0), { timeout: 10_000 })
    const doing = decode(long, 10_000_000, stop.signal)
    await vi.waitFor(() => expect(children()).toBe(1), { timeout: 10_000, interval: 5 })
    stop.abort(new Error('off'))
    await expect(doing).rejects.toThrow('off')
    await vi.waitFor(() => expect(children()).toBe(0), { timeout: 10_000 })
  })

  it('so many files of AAC are made at a time; the next is told to come again, and has its place when one is done', async () => {
    const writers = await Promise.all(Array.from({ length: 16 }, () => openFileWriter('aac', RATE_HZ)))
    await expect(openFileWriter('aac', RATE_HZ)).rejects.toMatchObject({ code: 'unavailable' })
    for (const writer of writers) {
      writer.close()
      writer.close()
    }
    expect((await written('aac', tone(440, 100, RATE_HZ))).length).toBeGreaterThan(0)
  })

  it('FLAC', async () => {
    const file = await decode(FLAC)
    expect(file).toMatchObject({ container: 'flac', codec: 'flac', durationMs: 250 })
    expect(share(file.pcm, 440, DECODED_RATE_HZ)).toBeGreaterThan(0.9)
  })

  it.each([
    ['mu-law of 8 kHz', () => wavOf(7, 1, 8, Buffer.alloc(8_000, 0x95), 8_000), 1_000],
    ['floats', () => wavOf(3, 1, 32, Buffer.from(Float32Array.from(tone(440, 500, RATE_HZ), (sample) => sample / 32_768).buffer)), 500],
    ['two channels', () => wavOf(1, 2, 16, Buffer.from(Int16Array.from(tone(440, 500, RATE_HZ), (sample) => sample).buffer)), 250],
    ['a length beyond the end, as of a stream', () => Buffer.concat([wavOf(1, 1, 16, Buffer.alloc(0)).fill(0xff, 40, 44).fill(0xff, 4, 8), Buffer.from(tone(440, 500, RATE_HZ).buffer)]), 500],
  ])('WAV of %s', async (_, make, ms) => {
    const { durationMs } = await decode(make())
    expect(Math.abs(durationMs - ms)).toBeLessThan(2)
  })

  it.each([
    ['no sound at all', () => Buffer.from('this is a letter, and no sound'), 'unreadable'],
    ['nothing', () => Buffer.alloc(0), 'unreadable'],
    ['a WAV without a sample', () => Buffer.from(wavBytes(new Int16Array(0), RATE_HZ)), 'no_audio'],
    ['an MP4 that ends in its first box', () => Buffer.from('\0\0\0\x18ftypM4A \0\0\0\0M4A mp42', 'latin1'), 'no_audio'],
  ])('%s is refused', async (_, make, fault) => {
    await expect(decode(make())).rejects.toMatchObject({ name: 'SoundFileError', fault })
  })

  it('random bytes behind a true beginning are refused or read, and the thread lives on', async () => {
    const noise = Buffer.from(Array.from({ length: 20_000 }, (_, at) => (at * 7_919 + 13) % 251))
    for (const head of ['OggS', 'RIFF\0\0\0\0WAVEfmt ', 'fLaC', 'ID3', '\x1aE\xdf\xa3', '\xff\xfb\x90\0']) await decode(Buffer.concat([Buffer.from(head, 'latin1'), noise])).catch((error: unknown) => expect(error).toMatchObject({ name: 'SoundFileError' }))
    expect((await decode(wavBytes(tone(440, 200, RATE_HZ), RATE_HZ))).durationMs).toBeCloseTo(200, 0)
  })

  it('what is too long is refused', async () => {
    await expect(decode(wavBytes(new Int16Array(RATE_HZ * 3), RATE_HZ), 2_000)).rejects.toMatchObject({ fault: 'too_long', message: 'it is longer than 2 seconds' })
  })

  it('called off while others wait: they have their turn', async () => {
    const stop = new AbortController()
    const first = decode(wavBytes(new Int16Array(RATE_HZ * 20), RATE_HZ), 60_000, stop.signal)
    const second = decode(wavBytes(tone(440, 300, RATE_HZ), RATE_HZ))
    const third = new AbortController()
    const gaveUp = decode(wavBytes(tone(440, 300, RATE_HZ), RATE_HZ), 60_000, third.signal)
    third.abort(new Error('gone'))
    stop.abort(new Error('off'))
    await expect(first).rejects.toThrow('off')
    await expect(gaveUp).rejects.toThrow('gone')
    expect((await second).durationMs).toBeCloseTo(300, 0)
  })
})
