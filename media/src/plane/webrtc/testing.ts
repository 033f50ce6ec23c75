import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { MediaStreamTrack, RTCPeerConnection, RTCRtpCodecParameters } from 'werift'
import type { RTCDataChannel, RTCRtpTransceiver } from 'werift'
import { openDecoder, openEncoder } from '../../codec/index.ts'
import type { Decoder, Encoder } from '../../codec/index.ts'
import { FRAME_MS, frameSamples } from '../../frame.ts'
import type { Pcm, SampleRateHz } from '../../frame.ts'
import { CODECS, sampleRateOf } from './codecs.ts'
import type { WebRtcCodec } from './codecs.ts'
import { Outbound } from './outbound.ts'
import { readRtp } from './rtp.ts'

export const WORKER_SCRIPT = fileURLToPath(new URL('../../../../scripts/mediasoup-worker.mjs', import.meta.url))

/** The worker that set-up has found or made, or why there is none. */
export function findWorker(): { path: string; reason: null } | { path: null; reason: string } {
  try {
    return { path: (JSON.parse(execFileSync(process.execPath, [WORKER_SCRIPT, '--check'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })) as { path: string }).path, reason: null }
  } catch (error) {
    const { stdout } = error as { stdout?: string }
    return { path: null, reason: stdout ? (JSON.parse(stdout) as { reason: string }).reason : String(error) }
  }
}

/** How strong one frequency is in the sound, 0 to 1 of what a full-scale sine has (Goertzel's algorithm). */
export function strength(pcm: Pcm, hz: number, rateHz: number): number {
  const k = 2 * Math.cos((2 * Math.PI * hz) / rateHz)
  let [s1, s2] = [0, 0]
  for (const sample of pcm) [s1, s2] = [sample + k * s1 - s2, s1]
  return (2 * Math.sqrt(Math.max(0, s1 * s1 + s2 * s2 - k * s1 * s2))) / pcm.length / 32_768
}

/** Frames of a sine, one after the other without a jump. */
export function tone(hz: number, rateHz: SampleRateHz, amplitude = 8_000): () => Pcm {
  let n = 0
  return () => Int16Array.from({ length: frameSamples(rateHz) }, () => Math.round(amplitude * Math.sin((2 * Math.PI * hz * n++) / rateHz)))
}

/** The last half second of what somebody heard. `waitFor` resolves when a tone is in it (or no longer in it). */
export class Ear {
  readonly rateHz: SampleRateHz
  readonly #recent: Pcm
  #frames = 0
  #checks: (() => void)[] = []

  constructor(rateHz: SampleRateHz) {
    this.rateHz = rateHz
    this.#recent = new Int16Array(rateHz / 2)
  }

  get frames(): number {
    return this.#frames
  }

  readonly hear = (pcm: Pcm): void => {
    this.#frames++
    this.#recent.copyWithin(0, pcm.length)
    this.#recent.set(pcm, this.#recent.length - pcm.length)
    if (this.#frames % 5 === 0) for (const check of this.#checks) check()
  }

  hears(hz: number): boolean {
    return strength(this.#recent, hz, this.rateHz) > 0.1
  }

  /** Of silence, so that what was heard before does not count. */
  forget(): void {
    this.#recent.fill(0)
  }

  waitFor(hz: number, heard = true): Promise<void> {
    return new Promise((resolve) => {
      const check = (): void => {
        if (this.hears(hz) !== heard) return
        this.#checks = this.#checks.filter((other) => other !== check)
        resolve()
      }
      this.#checks.push(check)
      check()
    })
  }
}

const PAYLOAD_TYPE = { opus: 109, pcmu: 0, pcma: 8 }

/** A WebRTC peer of another make (werift): offers, speaks tones, listens. */
export class Caller {
  readonly pc: RTCPeerConnection
  readonly ear: Ear
  readonly rateHz: SampleRateHz
  /** Sequence numbers of what came in, as they came. */
  readonly received: number[] = []
  readonly transceiver: RTCRtpTransceiver
  /** All that comes in, as it comes. */
  onHeard: ((pcm: Pcm) => void) | null = null
  readonly #track = new MediaStreamTrack({ kind: 'audio' })
  readonly #mouth: Outbound
  readonly #decoder: Decoder
  #speaking: NodeJS.Timeout | null = null

  static async create(codec: WebRtcCodec = 'pcmu', direction: 'sendrecv' | 'recvonly' = 'sendrecv'): Promise<Caller> {
    const format = { encoding: CODECS[codec].encoding, sampleRateHz: sampleRateOf(codec) }
    return new Caller(codec, direction, await openEncoder(format), await openDecoder(format))
  }

  private constructor(codec: WebRtcCodec, direction: 'sendrecv' | 'recvonly', encoder: Encoder, decoder: Decoder) {
    const { mimeType, clockRateHz, channels } = CODECS[codec]
    const audio = [new RTCRtpCodecParameters({ mimeType, clockRate: clockRateHz, channels, payloadType: PAYLOAD_TYPE[codec] })]
    this.pc = new RTCPeerConnection({ codecs: { audio, video: [] }, iceServers: [], iceAdditionalHostAddresses: ['127.0.0.1'], iceUseIpv6: false })
    this.rateHz = sampleRateOf(codec)
    this.ear = new Ear(this.rateHz)
    this.#decoder = decoder
    this.#mouth = new Outbound({ encoder, payloadType: PAYLOAD_TYPE[codec], ssrc: 1, clockRateHz, send: (packet) => this.#track.writeRtp(Buffer.from(packet)), nowMs: () => performance.now() })
    this.transceiver = this.pc.addTransceiver(this.#track, { direction })
    this.pc.onTrack.subscribe((track) => track.onReceiveRtp.subscribe((packet) => this.#receive(Buffer.from(packet.serialize()))))
  }

  async offer(): Promise<string> {
    await this.pc.setLocalDescription(await this.pc.createOffer())
    return this.pc.localDescription!.sdp
  }

  accept(answer: string): Promise<void> {
    return this.pc.setRemoteDescription({ type: 'answer', sdp: answer })
  }

  openChannel(label: string): RTCDataChannel {
    return this.pc.createDataChannel(label)
  }

  /** Until `hush`. */
  speak(hz: number): void {
    this.#send(tone(hz, this.rateHz))
  }

  /** This, and then the silence of an open microphone, until `hush`. */
  play(pcm: Pcm): void {
    const size = frameSamples(this.rateHz)
    let at = 0
    this.#send(() => {
      const frame = new Int16Array(size)
      frame.set(pcm.subarray(at, (at += size)))
      return frame
    })
  }

  #send(next: () => Pcm): void {
    this.hush()
    const startedAt = performance.now()
    let sent = 0
    this.#speaking = setInterval(() => {
      for (; sent * FRAME_MS <= performance.now() - startedAt; sent++) this.#mouth.send(next())
    }, FRAME_MS)
  }

  hush(): void {
    if (this.#speaking) clearInterval(this.#speaking)
    this.#speaking = null
  }

  async close(): Promise<void> {
    this.hush()
    await this.pc.close()
  }

  #receive(bytes: Buffer): void {
    const packet = readRtp(bytes)!
    this.received.push(packet.sequence)
    const pcm = this.#decoder.decode(packet.payload)
    this.ear.hear(pcm)
    this.onHeard?.(pcm)
  }
}
