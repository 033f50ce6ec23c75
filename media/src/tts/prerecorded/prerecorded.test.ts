import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest'
import { EspeakPool, espeakEngine } from '../espeak/index.ts'
import { MESSAGE_LANGUAGES, Prerecorded, comfortNoise, holdMusic, signal } from './index.ts'

const pool = new EspeakPool()
const engine = espeakEngine({ pool })
const closed = new EspeakPool()
closed.close()
const mute = espeakEngine({ pool: closed })
let directory: string
beforeEach(async () => void (directory = await mkdtemp(join(tmpdir(), 'trunkline-messages-'))))
afterEach(() => rm(directory, { recursive: true }))
afterAll(() => pool.close())

const loudness = (pcm: Int16Array): number => Math.sqrt(pcm.reduce((sum, sample) => sum + sample * sample, 0) / pcm.length)
/** Share of one frequency in a sound (Goertzel). */
function share(pcm: Int16Array, hz: number, rate: number): number {
  let [real, imaginary, energy] = [0, 0, 0]
  for (const [n, sample] of pcm.entries()) {
    real += sample * Math.cos((2 * Math.PI * hz * n) / rate)
    imaginary += sample * Math.sin((2 * Math.PI * hz * n) / rate)
    energy += sample * sample
  }
  return (2 * (real ** 2 + imaginary ** 2)) / (pcm.length * energy)
}

describe('messages for when all speech is down', () => {
  it('are made at set-up, kept, and then said without any voice', async () => {
    await new Prerecorded({ directory, engine }).prepare(['en', 'de-AT'])
    expect((await readdir(directory)).length).toBe(12)
    const later = new Prerecorded({ directory, engine: mute })
    const pcm = await later.get('trouble', 'de', 8_000)
    expect(pcm.length / 8).toBeGreaterThan(3_000)
    expect(loudness(pcm)).toBeGreaterThan(300)
    expect(await later.get('trouble', 'en-GB', 8_000)).not.toEqual(pcm)
  })

  it('are made once, however many calls ask at the same time', async () => {
    const messages = new Prerecorded({ directory, engine })
    const [one, other] = await Promise.all([messages.get('busy', 'en', 8_000), messages.get('busy', null, 8_000)])
    expect(one).toBe(other)
    expect(await readdir(directory)).toHaveLength(1)
  })

  it('a damaged recording is made anew', async () => {
    await new Prerecorded({ directory, engine }).get('goodbye', 'en', 8_000)
    const [name] = await readdir(directory)
    await writeFile(join(directory, name!), 'RIFF, but no sound')
    expect((await new Prerecorded({ directory, engine }).get('goodbye', 'en', 8_000)).length).toBeGreaterThan(8_000)
  })

  it('without a recording and without a voice there are three rising notes', async () => {
    const pcm = await new Prerecorded({ directory, engine: mute }).get('trouble', 'en', 8_000)
    for (const [index, hz] of [950, 1_400, 1_800].entries()) expect(share(pcm.slice(index * 2_640, (index + 1) * 2_640), hz, 8_000)).toBeGreaterThan(0.9)
    await expect(new Prerecorded({ directory, engine: mute }).prepare(['en'])).rejects.toMatchObject({ failure: { code: 'unavailable' } })
  })

  it('there is a voice for every language that has them', async () => {
    const messages = new Prerecorded({ directory, engine })
    for (const language of MESSAGE_LANGUAGES) expect((await messages.get('goodbye', language, 8_000)).length).toBeGreaterThan(8_000)
    expect(await readdir(directory)).toHaveLength(MESSAGE_LANGUAGES.length)
  })
})

describe('sounds of our own', () => {
  it.each([['ringback', 5_000], ['busy', 960], ['trouble', 1_990]] as const)('%s lasts as long as it should at every rate', (name, ms) => {
    for (const rate of [8_000, 16_000, 24_000, 48_000] as const) expect(signal(name, rate).length).toBe((ms / 1_000) * rate)
    expect(share(signal('ringback', 8_000).slice(0, 8_000), 425, 8_000)).toBeGreaterThan(0.95)
  })

  it('hold music repeats without a click and is never too loud', () => {
    const pcm = holdMusic(8_000)
    expect(pcm.length).toBe(12.8 * 8_000)
    const steps = Array.from(pcm, (sample, n) => Math.abs(sample - pcm.at(n - 1)!))
    const largest = Math.max(...steps.slice(1))
    expect(steps[0]).toBeLessThanOrEqual(largest)
    expect(Math.max(...pcm)).toBeLessThan(20_000)
    expect(loudness(pcm)).toBeGreaterThan(500)
  })

  it('comfort noise is soft, steady and the same for the same seed', () => {
    const noise = comfortNoise(8_000, 1_000)
    expect(noise).toEqual(comfortNoise(8_000, 1_000))
    expect(noise).not.toEqual(comfortNoise(8_000, 1_000, 2))
    expect(loudness(noise)).toBeGreaterThan(5)
    expect(loudness(noise)).toBeLessThan(60)
    expect(Math.abs(noise.reduce((sum, sample) => sum + sample, 0) / noise.length)).toBeLessThan(3)
  })
})
