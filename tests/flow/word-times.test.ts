import { readFile } from 'node:fs/promises'
import { Ear } from '@trunkline/app-sandbox'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Business, Json } from './business.ts'
import { callOf, hears, kept, openPhoneTown, type PhoneTown } from './phone-town.ts'

// When each word of a call was said: as the API tells it, and as it lies in the recording.

let town: PhoneTown
let business: Business

beforeAll(async () => {
  town = await openPhoneTown()
  business = await town.business()
})
afterAll(() => town?.close())

const GREETING = 'Hello, this is harbour bikes.'
/** What the ear and the voices of the sandbox round. */
const NEAR_MS = 25
/** The same word, said another time. */
const ELSEWHERE_MS = 2_000
type Spoken = { text: string; startMs: number; endMs: number }

/** A call that was recorded, from its greeting to the end of its transcript. */
async function recorded(settings: Record<string, unknown>, talk: (phone: ReturnType<PhoneTown['ring']>, telephone: Parameters<PhoneTown['ring']>[0]) => Promise<void>, prompt: Record<string, unknown> = {}) {
  const telephone = await town.telephone(business, { settings: { greeting: GREETING, recording: { enabled: true }, ...settings }, prompt })
  const phone = town.ring(telephone)
  await talk(phone, telephone)
  phone.hangUp()
  const [row] = await town.until<{ call: Json }>("SELECT to_jsonb(c) AS call FROM calls c WHERE number_id = $1 AND direction = 'inbound' AND recording_state = 'stored'", [telephone.id], (rows) => rows.length === 1)
  const { call } = row!
  const { data: said } = await business.ok('GET', `/v1/calls/${call.id}/transcript`)
  return { call, said: said as Json[], ...(await soundOf(call)) }
}

/** The words of both sides of its recording. */
async function soundOf(call: Json): Promise<{ customer: Spoken[]; agent: Spoken[] }> {
  const wav = await readFile(`${town.mediaDir}/${call.recording_key}`)
  const samples = new Int16Array(wav.buffer.slice(wav.byteOffset + 44, wav.byteOffset + wav.length))
  const side = (which: 0 | 1) => wordsIn(samples.filter((_, index) => index % 2 === which))
  return { customer: side(0), agent: side(1) }
}

/** What the sandbox's own ear reads in a sound, with the place of each word in it. */
function wordsIn(pcm: Int16Array): Spoken[] {
  const words: Spoken[] = []
  const ear = new Ear(8_000, ({ text, startMs, endMs }) => void (text !== null && words.push({ text: text.replaceAll(/[^\w']/g, ''), startMs, endMs })))
  ear.push(pcm)
  ear.flush()
  return words
}

/** In order, without overlap, inside of what was said, and made of its text. */
function areInOrder(item: Json): void {
  let passedMs = item.start_ms
  for (const word of item.words) {
    expect(word.text).toBe(item.text.slice(word.char_start, word.char_end))
    expect(word.start_ms).toBeGreaterThanOrEqual(passedMs)
    expect(word.end_ms).toBeGreaterThan(word.start_ms)
    passedMs = word.end_ms
  }
  expect(item.end_ms).toBeGreaterThanOrEqual(passedMs)
}

/** Each word of the transcript lies in the recording where it says, to within so much. A word that a stalling machine has torn is not read by the ear: of them there may be few. */
function lieIn(sound: readonly Spoken[], words: readonly Json[], withinMs: number): void {
  const unread = words.filter((word) => {
    const same = sound.filter(({ text, startMs }) => text === word.text.replaceAll(/[^\w']/g, '') && Math.abs(startMs - word.start_ms) < ELSEWHERE_MS)
    const nearest = same.toSorted((one, two) => Math.abs(one.startMs - word.start_ms) - Math.abs(two.startMs - word.start_ms))[0]
    if (!nearest) return true
    expect(Math.abs(nearest.startMs - word.start_ms), `"${word.text}" begins at ${word.start_ms} ms, in the recording at ${nearest.startMs}`).toBeLessThanOrEqual(withinMs)
    expect(Math.abs(nearest.endMs - word.end_ms), `"${word.text}" ends at ${word.end_ms} ms, in the recording at ${nearest.endMs}`).toBeLessThanOrEqual(withinMs)
    return false
  })
  expect(unread.length, JSON.stringify({ unread, sound })).toBeLessThanOrEqual(words.length / 5)
}

const of = (said: readonly Json[], by: 'agent' | 'customer'): Json[] => said.filter((item) => item.by === by)
const voice = (engine: string) => ({ voice: { tts: [{ engine, voice_id: null }] } })

describe.concurrent('word times of a call', { timeout: 60_000 }, () => {
  it.each([['elevenlabs', false], ['openai', true]] as const)('whose voice is %s are those of the recording, both sides (estimated: %s)', async (engine, estimated) => {
    const { said, customer, agent } = await recorded(voice(engine), async (phone, telephone) => {
      await hears(phone, /harbour bikes/)
      await kept(town, telephone, 1)
      phone.say('When do you open on Saturdays?')
      await hears(phone, /nine/)
      await kept(town, telephone, 3)
    })
    said.forEach(areInOrder)
    const ours = of(said, 'agent')
    expect(ours.map((item) => item.words.map((word: Json) => word.text).join(' '))).toEqual(ours.map((item) => item.text.replaceAll(/[.,!?]/g, '')))
    expect(new Set(ours.flatMap((item) => item.words.map((word: Json) => word.estimated)))).toEqual(new Set([estimated]))
    // What is estimated is honest about it, and still near.
    lieIn(agent, ours.flatMap((item) => item.words), estimated ? 700 : NEAR_MS)
    lieIn(customer, of(said, 'customer').flatMap((item) => item.words), NEAR_MS)
  })

  it('end where the caller cut the agent off: words that were not heard to their end have none', async () => {
    const greeting = 'There are many things to tell about our opening hours and all of them are interesting and long and I could go on for quite a while about every single one of them.'
    const { call, said, agent } = await recorded({ ...voice('elevenlabs'), greeting }, async (phone, telephone) => {
      await hears(phone, /opening hours/)
      phone.say('Please stop talking now.')
      await kept(town, telephone, 3)
    })
    said.forEach(areInOrder)
    const cut = said.find((item) => item.interrupted)!
    expect(greeting.startsWith(cut.text)).toBe(true)
    expect(cut.words.length).toBeGreaterThan(5)
    expect(cut.words.map((word: Json) => word.text).join(' ')).toBe(cut.text.replaceAll(/[.,]/g, ''))
    expect(cut.words.length).toBeLessThan(greeting.split(' ').length)
    // From the moment the caller spoke the voice was softer, and a word that was being said was said again in part: the ear does not know those.
    const [asked] = of(said, 'customer')
    lieIn(agent, cut.words.filter((word: Json) => word.end_ms < asked!.start_ms), NEAR_MS)
    // The recording has no sound of it after its end.
    const [event] = await town.rows<{ at_ms: number }>("SELECT at_ms FROM call_events WHERE call_id = $1 AND kind = 'interrupted' ORDER BY id LIMIT 1", [call.id])
    expect(Math.abs(event!.at_ms - cut.end_ms)).toBeLessThanOrEqual(40)
    const next = said.find((item) => item.by === 'agent' && item.start_ms > cut.start_ms)
    for (const word of agent) expect(word.startMs < cut.end_ms || word.startMs >= (next?.start_ms ?? 0) - NEAR_MS, word.text).toBe(true)
  })

  it('stay on the clock of the call when it was on hold', async () => {
    const colleague = '+14155550872'
    const { said, customer } = await recorded({ ...voice('elevenlabs'), transfer_to: colleague, transfer_mode: 'warm' }, async (phone, telephone) => {
      await hears(phone, /harbour bikes/)
      await kept(town, telephone, 1)
      phone.say('I want to speak to a human.')
      const other = await town.called('twilio', colleague)
      await hears(other, /caller for you/)
      other.press('2')
      await hears(phone, /nobody is there/)
      await kept(town, telephone, 4)
      phone.say('When do you open?')
      await hears(phone, /nine/)
      await kept(town, telephone, 6)
    }, { tools: [{ type: 'builtin', name: 'handover_to_human' }] })
    lieIn(customer, of(said, 'customer').flatMap((item) => item.words), NEAR_MS)
    const starts = said.map((item) => item.start_ms)
    expect(starts).toEqual(starts.toSorted((one, two) => one - two))
  })

  it('are there for a voice of our own as well', async () => {
    const telephone = await town.telephone(business, { settings: { greeting: GREETING, ...voice('espeak') } })
    const phone = town.ring(telephone)
    await kept(town, telephone, 1)
    phone.hangUp()
    const call = await callOf(town, telephone, (row) => row.ended_at !== null)
    const { data: [greeted] } = await business.ok('GET', `/v1/calls/${call.id}/transcript`)
    areInOrder(greeted)
    expect(greeted.words.map((word: Json) => [word.text, word.estimated])).toEqual(['Hello', 'this', 'is', 'harbour', 'bikes'].map((word) => [word, false]))
  })
})
