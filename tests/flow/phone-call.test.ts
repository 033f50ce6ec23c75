import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Breakers, createHttpTools, createVendors, guardedNetwork } from '@trunkline/agents'
import { startSandbox, TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN, type CallHandle, type Sandbox } from '@trunkline/app-sandbox'
import { createReplier, PhoneCall, type PhoneCallReport } from '@trunkline/app-voice'
import { carriers } from '@trunkline/channels'
import { newId, PromptContent, silentLogger, systemClock } from '@trunkline/core'
import { createEnergyVad, deepgramStt, openaiVoice, openFileSink, PlayoutClock } from '@trunkline/media'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { WebSocketServer, type WebSocket } from 'ws'
import { wordsOf } from '../../channels/testing/speech.ts'

const OURS = '+15005550006'
const CALLER = '+14155550100'
const PHRASES = { ask_again: 'Could you say that again?', are_you_there: 'Are you there?', recovery: 'One moment please.', goodbye: 'Goodbye.', filler: 'Let me see.' }
const { twilio } = carriers
const config = { credentials: { account_sid: TWILIO_ACCOUNT_SID, auth_token: TWILIO_AUTH_TOKEN }, settings: {} }
const network = guardedNetwork({ allow: [] })
const tools = createHttpTools({ network, clock: systemClock, secrets: async () => null })

let sandbox: Sandbox
let url: string
let folder: string
const closers: (() => unknown)[] = []
const wheel = new PlayoutClock()
const reports: PhoneCallReport[] = []
const said: string[] = []
const calls: PhoneCall[] = []

/** A number that is answered: the webhook's TwiML sends the call's sound to a socket of ours. */
beforeAll(async () => {
  sandbox = await startSandbox({ speechPace: { firstSoundMs: 0, chunkMs: 20 } })
  folder = await mkdtemp(join(tmpdir(), 'trunkline-call-'))
  const server = createServer((request, response) => void answer(request, response))
  const sockets = new WebSocketServer({ server })
  sockets.on('connection', (socket) => void openCall(socket))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  sandbox.carriers.twilio.register({ number: OURS, voice_url: `${url}/voice`, status_url: `${url}/status` })
  closers.push(() => sandbox.close(), () => wheel.close(), () => server.close(), () => calls.forEach((call) => call.hangUp()), () => rm(folder, { recursive: true }), () => network.close())
})
afterAll(async () => {
  for (const close of closers.toReversed()) await close()
})

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  const raw = { headers: request.headers as Record<string, string | undefined>, body: Buffer.concat(chunks), query: {} }
  if (!twilio.verify(raw, config, `${url}${request.url}`)) return void response.writeHead(403).end()
  const [event] = twilio.normaliseCall(twilio.readBody(raw), Date.now())
  if (event?.kind !== 'call.initiated') return void response.writeHead(204).end()
  const { document } = twilio.answer([{ do: 'stream', url: `${url.replace('http', 'ws')}/media` }], { key: event.eventId, carrierCallId: event.carrierCallId, answered: false }, config)
  response.writeHead(200, { 'content-type': document!.contentType }).end(document!.body)
}

const prompt = PromptContent.parse({ vendor: 'openai', model: 'gpt-5-mini', instructions: 'You work for the harbour bike shop. We open at nine in the morning. We repair e-bikes.', rules: {} })

async function openCall(socket: WebSocket): Promise<void> {
  const history: { messageId: string; role: 'customer' | 'agent'; text: string; atMs: number }[] = []
  const vendors = createVendors(systemClock)
  const replier = createReplier(prompt, { tenantId: newId(), conversationId: newId(), contact: { id: newId() }, history: () => history }, {
    vendors: (vendor) => (vendor === 'openai' ? vendors.open('openai', { baseUrl: `${sandbox.url}/v1`, apiKey: 'sandbox' }) : null),
    tools, breakers: new Breakers(systemClock), clock: systemClock, log: silentLogger, onSpent: () => {}, onResult: () => {},
  })
  const recording = await openFileSink(join(folder, `call-${reports.length + 1}.wav`))
  calls.push(new PhoneCall({
    socket, media: twilio.mediaWire(config), recording, wheel, vad: createEnergyVad(), replier,
    stt: deepgramStt({ apiKey: 'k', baseUrl: `${sandbox.url}/deepgram` }), tts: openaiVoice({ apiKey: 'k', baseUrl: `${sandbox.url}/v1` }),
    voice: { id: 'alloy', speed: 1, language: 'en' }, phrases: PHRASES, greeting: 'Hello, harbour bikes.',
    onEvent: (event) => {
      if (event.type !== 'said') return
      said.push(event.said.text)
      history.push({ messageId: newId(), role: event.said.by === 'caller' ? 'customer' : 'agent', text: event.said.text, atMs: Date.now() })
    },
    onEnded: (report) => reports.push(report),
  }))
}

/** Resolves when the person has heard words that fit, as they were played on the phone, and they are known to be heard. */
async function hears(phone: CallHandle, fits: RegExp): Promise<void> {
  await expect.poll(() => wordsOf(phone.agentPcm()), { timeout: 20_000, interval: 100 }).toMatch(fits)
  await expect.poll(() => said.some((text) => fits.test(text)), { timeout: 10_000 }).toBe(true)
}

describe('a call that comes in over Twilio', { timeout: 60_000 }, () => {
  it('is greeted, understood and answered; what was heard is told, and both sides are recorded', async () => {
    const phone = sandbox.carriers.twilio.ring({ from: CALLER, to: OURS, says: [] })
    await phone.waitFor('media.connected')
    await hears(phone, /harbour bikes/)
    phone.say('When do you open?')
    await hears(phone, /nine/)
    phone.hangUp()
    await expect.poll(() => reports.length, { timeout: 10_000 }).toBe(1)
    const [report] = reports
    expect(report!.said.map(({ by }) => by).slice(0, 3)).toEqual(['agent', 'caller', 'agent'])
    expect(report!.said[0]!.text).toBe('Hello, harbour bikes.')
    expect(report!.said[1]!.text).toBe('When do you open?')
    expect(report!.recording).toMatchObject({ discarded: false, lostMs: 0, droppedMs: 0 })
    const wav = await readFile(join(folder, 'call-1.wav'))
    const samples = new Int16Array(wav.buffer.slice(wav.byteOffset + 44, wav.byteOffset + wav.length - ((wav.length - 44) % 4)))
    const side = (which: 0 | 1) => samples.filter((_, index) => index % 2 === which)
    expect(wordsOf(side(0))).toContain('open')
    expect(wordsOf(side(1))).toContain('harbour')
  })
})
