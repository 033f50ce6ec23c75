import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { chromium } from 'playwright-core'
import type { BrowserContext, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { executable, whySkipped } from '../../../tests/browser/chromium.ts'
import type { DataChannel, WebRtcLeg } from './contract.ts'
import { createMediasoupPlane } from './mediasoup.ts'
import type { MediasoupPlane } from './mediasoup.ts'
import { Ear, findWorker, tone } from './webrtc/testing.ts'

const worker = findWorker()
const reason = worker.reason ?? whySkipped()
const title = reason === null ? 'a real browser' : `a real browser (skipped: ${reason})`

/** What runs in the page: a microphone that is an oscillator, and a loudspeaker that says how strong a tone is. */
const PAGE = `<script>
  const audio = new AudioContext()
  const microphone = audio.createMediaStreamDestination()
  const oscillator = audio.createOscillator()
  oscillator.frequency.value = 440
  oscillator.connect(microphone)
  oscillator.start()
  const analyser = audio.createAnalyser()
  analyser.fftSize = 8192
  const pc = new RTCPeerConnection()
  pc.addTrack(microphone.stream.getAudioTracks()[0], microphone.stream)
  const channel = pc.createDataChannel('oai-events')
  const messages = []
  channel.onmessage = ({ data }) => messages.push(data)
  pc.ontrack = ({ streams, track }) => {
    const stream = streams[0] ?? new MediaStream([track])
    const element = new Audio()
    element.srcObject = stream
    element.muted = true
    element.play() // Without an element that plays it, Chromium gives no sound to Web Audio.
    audio.createMediaStreamSource(stream).connect(analyser)
  }
  async function offer(options) {
    await audio.resume()
    await pc.setLocalDescription(await pc.createOffer(options))
    return pc.localDescription.sdp
  }
  const accept = (sdp) => pc.setRemoteDescription({ type: 'answer', sdp })
  /** The loudest tone, in hertz, or 0 while it is quiet. */
  function heard() {
    const bins = new Float32Array(analyser.frequencyBinCount)
    analyser.getFloatFrequencyData(bins)
    const loudest = bins.indexOf(Math.max(...bins))
    return bins[loudest] > -50 ? (loudest * audio.sampleRate) / analyser.fftSize : 0
  }
</script>`

describe.skipIf(reason !== null)(title, () => {
  let plane: MediasoupPlane
  let context: BrowserContext
  let profile: string

  beforeAll(async () => {
    plane = await createMediasoupPlane({ workerBin: worker.path!, listen: { ip: '127.0.0.1' } })
    profile = await mkdtemp(join(tmpdir(), 'trunkline-webrtc-'))
    const args = ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--allow-loopback-in-peer-connection', '--autoplay-policy=no-user-gesture-required']
    context = await chromium.launchPersistentContext(profile, { executablePath: executable!, headless: true, args })
  })
  afterAll(async () => {
    await context?.close()
    await plane?.close()
    await rm(profile, { recursive: true, force: true })
  })

  const inPage = <T>(page: Page, code: string): Promise<T> => page.evaluate<T>(code)

  async function call(page: Page, id: string, prepareOffer: (sdp: string) => string = (sdp) => sdp): Promise<{ leg: WebRtcLeg; channel: Promise<DataChannel>; ear: Ear; hush: () => void; offer: string; answer: string }> {
    await page.setContent(PAGE)
    const room = await plane.openRoom(id)
    const offer = prepareOffer(await inPage<string>(page, 'offer()'))
    let answer = ''
    const channel = Promise.withResolvers<DataChannel>()
    const leg = await room.join('caller', { kind: 'webrtc', offerSdp: offer, onAnswer: (sdp) => (answer = sdp), onDataChannel: (_label, opened) => channel.resolve(opened) })
    await inPage(page, `accept(${JSON.stringify(answer)})`)
    await new Promise<void>((resolve) => leg.onConnected(resolve))
    const agent = await room.join('agent', { kind: 'direct', sampleRateHz: 24_000 })
    const ear = new Ear(24_000)
    agent.wire.onHear(ear.hear)
    const next = tone(1_000, 24_000)
    const timer = setInterval(() => agent.wire.say(next()), 20)
    return { leg, channel: channel.promise, ear, hush: () => clearInterval(timer), offer, answer }
  }

  const hears = (page: Page, hz: number) => page.waitForFunction(`Math.abs(heard() - ${hz}) < 15`, undefined, { polling: 100 })

  it('speaks and hears in Opus, and talks over its data channel, empty messages too', async () => {
    const page = await context.newPage()
    const { channel, ear, hush, answer } = await call(page, 'opus')
    expect(answer).toMatch(/opus\/48000\/2/)
    await Promise.all([ear.waitFor(440), hears(page, 1_000)])
    const ours = await channel
    ours.onMessage((text) => ours.send(`<${text}>`))
    for (const text of ['{"type":"session.update"}', '', 'ü']) await inPage(page, `channel.send(${JSON.stringify(text)})`)
    await page.waitForFunction('messages.length === 3')
    expect(await inPage(page, 'messages')).toEqual(['<{"type":"session.update"}>', '<>', '<ü>'])
    hush()
    await page.close()
  })

  it('speaks and hears in G.711 when that is what it offers', async () => {
    const page = await context.newPage()
    const onlyPcmu = (sdp: string): string => sdp.replace(/^(m=audio \d+ \S+) .*$/m, '$1 0')
    const { ear, hush, answer } = await call(page, 'pcmu', onlyPcmu)
    expect(answer).toContain('a=rtpmap:0 PCMU/8000')
    await Promise.all([ear.waitFor(440), hears(page, 1_000)])
    hush()
    await page.close()
  })

  it('goes on after an ICE restart', async () => {
    const page = await context.newPage()
    const { leg, ear, hush, answer } = await call(page, 'restart')
    await Promise.all([ear.waitFor(440), hears(page, 1_000)])
    const second = await leg.renegotiate(await inPage<string>(page, 'offer({ iceRestart: true })'))
    const ufrag = (sdp: string): string => /a=ice-ufrag:(\S+)/.exec(sdp)![1]!
    expect(ufrag(second)).not.toBe(ufrag(answer))
    await inPage(page, `accept(${JSON.stringify(second)})`)
    await page.waitForFunction(`pc.iceConnectionState === 'connected' || pc.iceConnectionState === 'completed'`)
    ear.forget()
    await inPage(page, 'oscillator.frequency.value = 600')
    await Promise.all([ear.waitFor(600), hears(page, 1_000)])
    hush()
    await page.close()
  })

  it('hangs up, and we learn of it at once', async () => {
    const page = await context.newPage()
    const { leg, hush } = await call(page, 'hang-up')
    const closed = new Promise((resolve) => leg.onClosed(resolve))
    await inPage(page, 'pc.close()')
    expect(await closed).toBe('peer_closed')
    hush()
    await page.close()
  })

  it('closes its channel when we do, and we when it does', async () => {
    const page = await context.newPage()
    const { channel, hush } = await call(page, 'channel')
    ;(await channel).close()
    await page.waitForFunction(`channel.readyState === 'closed'`)
    hush()
    await page.close()
    const other = await context.newPage()
    const second = await call(other, 'channel-2')
    const told = second.channel.then((opened) => new Promise<void>((resolve) => opened.onClosed(resolve)))
    await other.waitForFunction(`channel.readyState === 'open'`)
    await inPage(other, 'channel.close()')
    await told
    expect(await inPage(other, 'channel.readyState')).toMatch(/clos/)
    second.hush()
    await other.close()
  })
})
