import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest'
import { EspeakPool, espeakEngine } from '../espeak/index.ts'
import { rmsOf, shareOf } from '../../dsp/testing.ts'
import { MESSAGE_LANGUAGES, Prerecorded } from './index.ts'

const pool = new EspeakPool()
const engine = espeakEngine({ pool })
const closed = new EspeakPool()
closed.close()
const mute = espeakEngine({ pool: closed })
let directory: string
beforeEach(async () => void (directory = await mkdtemp(join(tmpdir(), 'trunkline-messages-'))))
afterEach(() => rm(directory, { recursive: true }))
afterAll(() => pool.close())

describe('messages for when all speech is down', () => {
  it('are made at set-up, kept, and then said without any voice', async () => {
    await new Prerecorded({ directory, engine }).prepare(['en', 'de-AT'])
    expect((await readdir(directory)).length).toBe(12)
    const later = new Prerecorded({ directory, engine: mute })
    const pcm = await later.get('trouble', 'de', 8_000)
    expect(pcm.length / 8).toBeGreaterThan(3_000)
    expect(rmsOf(pcm)).toBeGreaterThan(300)
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
    for (const [index, hz] of [950, 1_400, 1_800].entries()) expect(shareOf(pcm.slice(index * 2_640, (index + 1) * 2_640), hz, 8_000)).toBeGreaterThan(0.9)
    await expect(new Prerecorded({ directory, engine: mute }).prepare(['en'])).rejects.toMatchObject({ failure: { code: 'unavailable' } })
  })

  it('there is a voice for every language that has them', async () => {
    const messages = new Prerecorded({ directory, engine })
    for (const language of MESSAGE_LANGUAGES) expect((await messages.get('goodbye', language, 8_000)).length).toBeGreaterThan(8_000)
    expect(await readdir(directory)).toHaveLength(MESSAGE_LANGUAGES.length)
  })
})
