import { randomInt } from 'node:crypto'
import { AppError } from '@trunkline/core'
import type { types } from 'mediasoup'
import { openDecoder, openEncoder } from '../../codec/index.ts'
import type { OpusSettings } from '../../codec/index.ts'
import type { Pcm, SampleRateHz } from '../../frame.ts'
import type { MonotonicClock } from '../../playout/monotonic.ts'
import type { WebRtcJoin } from '../contract.ts'
import { WORKER_DIED } from '../room/peer.ts'
import type { Peer, PeerEars } from '../room/peer.ts'
import { answerTo, ourSetup, writeAnswer } from './answer.ts'
import { CODECS, sampleRateOf } from './codecs.ts'
import type { WebRtcCodec } from './codecs.ts'
import { DataChannels } from './data-channels.ts'
import { Inbound } from './inbound.ts'
import { parseOffer } from './offer.ts'
import type { Offer, OfferedCodec } from './offer.ts'
import { Outbound } from './outbound.ts'
import { readRtp } from './rtp.ts'
import type { WorkerHost } from './workers.ts'

/** A peer that has its answer and does not come: its network lets nothing through, or it went away. */
const CONNECT_TIMEOUT_MS = 20_000
/** Without ICE consent a connection is gone (RFC 7675 §5.1 says 30 s); an ICE restart in this time saves it. */
const ICE_CONSENT_S = 15
const RECONNECT_TIMEOUT_MS = 10_000
/** Text to us; sound has RTP. */
const MAX_MESSAGE_BYTES = 262_144
/** The worker answers within a millisecond. One that does not hangs. */
const SETUP_TIMEOUT_MS = 5_000

export type ConnectionSettings = {
  /** What we accept, our favourite first. */
  codecs: readonly WebRtcCodec[]
  opus?: OpusSettings
  /** What a peer may send over its data channels; one that sends more is cut off. */
  maxMessagesPerSecond: number
  time: MonotonicClock
  onFault: (error: unknown) => void
}

/** Answers the offer and stands ready for the peer. Rejects with AppError; then nothing is left behind. */
export async function connect(host: WorkerHost, join: WebRtcJoin, settings: ConnectionSettings): Promise<Peer> {
  const offer = parseOffer(join.offerSdp)
  const codec = choose(offer, settings.codecs)
  const connection = new Connection(host, offer, codec, settings)
  try {
    await withinTime(connection.open(join), settings.time)
    join.onAnswer(connection.answer())
    return connection
  } catch (error) {
    connection.close()
    throw error instanceof AppError ? error : new AppError('unavailable', { message: 'The media worker could not serve the call.', cause: error })
  }
}

function choose({ audio }: Offer, accepted: readonly WebRtcCodec[]): OfferedCodec {
  for (const codec of accepted) {
    const offered = audio.codecs.find((candidate) => candidate.codec === codec)
    if (offered) return offered
  }
  throw new AppError('invalid_request', { message: `The SDP offer has none of the codecs ${accepted.join(', ')}.`, param: 'sdp' })
}

async function withinTime<T>(work: Promise<T>, time: MonotonicClock): Promise<T> {
  let cancel = (): void => {}
  const tooLate = new Promise<never>((_, reject) => {
    cancel = time.after(SETUP_TIMEOUT_MS, () => reject(new AppError('unavailable', { message: 'The media worker does not answer.' })))
  })
  return Promise.race([work, tooLate]).finally(() => cancel())
}

/** One peer: its transport in the worker, and our end of it, by which RTP and messages come into this process. */
class Connection implements Peer {
  readonly sampleRateHz: SampleRateHz
  readonly #host: WorkerHost
  readonly #codec: OfferedCodec
  readonly #settings: ConnectionSettings
  readonly #sessionId = String(randomInt(2 ** 47))
  #offer: Offer
  #version = 0
  #transport: types.WebRtcTransport | null = null
  #direct: types.DirectTransport | null = null
  #inbound: Inbound | null = null
  #outbound: Outbound | null = null
  #channels: DataChannels | null = null
  /** Of what the peer hears; null when it wants to hear nothing. */
  #ssrc: number | null = null
  #ears: PeerEars | null = null
  #connected = false
  #giveUpAtMs: number
  #closed = false
  #lostWith: string | null = null

  constructor(host: WorkerHost, offer: Offer, codec: OfferedCodec, settings: ConnectionSettings) {
    this.#host = host
    this.#offer = offer
    this.#codec = codec
    this.#settings = settings
    this.sampleRateHz = sampleRateOf(codec.codec)
    this.#giveUpAtMs = settings.time.nowMs() + CONNECT_TIMEOUT_MS
    host.peers++
  }

  async open({ onDataChannel }: WebRtcJoin): Promise<void> {
    const router = await this.#host.router(this.#codec)
    const [transport, direct] = await Promise.all([this.#createTransport(router), router.createDirectTransport({ maxSendMessageSize: MAX_MESSAGE_BYTES, maxReceiveMessageSize: MAX_MESSAGE_BYTES })])
    this.#transport = transport
    this.#direct = direct
    if (this.#closed) return this.#closeTransports() // The caller gave up while the worker was slow.
    this.#watch(transport)
    const { audio, data, dtls } = this.#offer
    const toUs = answerTo(audio.direction)
    const role = ourSetup(this.#offer) === 'passive' ? 'client' : 'server'
    await Promise.all([
      transport.connect({ dtlsParameters: { role, fingerprints: [{ algorithm: dtls.algorithm, value: dtls.fingerprint }] } }),
      toUs === 'sendrecv' || toUs === 'recvonly' ? this.#openInbound(router, transport, direct) : null,
      toUs === 'sendrecv' || toUs === 'sendonly' ? this.#openOutbound(router, transport, direct) : null,
      data ? this.#openChannels(transport, direct, data.maxMessageBytes, onDataChannel) : null,
    ])
  }

  answer(): string {
    const transport = this.#transport!
    const sctp = transport.sctpParameters
    return writeAnswer({
      offer: this.#offer,
      codec: this.#codec,
      ice: transport.iceParameters,
      candidates: transport.iceCandidates,
      fingerprints: transport.dtlsParameters.fingerprints,
      ssrc: this.#ssrc,
      sctp: sctp ? { port: sctp.port, maxMessageBytes: MAX_MESSAGE_BYTES } : null,
      sessionId: this.#sessionId,
      version: this.#version++,
    })
  }

  attach(ears: PeerEars): void {
    this.#ears = ears
    if (this.#connected) ears.onConnected()
    if (this.#lostWith !== null) ears.onClosed(this.#lostWith)
  }

  hear(pcm: Pcm): void {
    if (this.#connected && !this.#closed) this.#outbound?.send(pcm)
  }

  tick(nowMs: number): void {
    if (nowMs > this.#giveUpAtMs) return this.#lose(this.#connected ? 'connection_lost' : 'connect_timeout')
    this.#inbound?.tick(nowMs)
    this.#channels?.tick(nowMs)
  }

  /** The peer's transport stays: same certificate, same codec. A new ufrag asks for an ICE restart (RFC 8839 §4.4.1.1). */
  async renegotiate(offerSdp: string): Promise<string> {
    const offer = parseOffer(offerSdp)
    const before = this.#offer
    if (this.#closed || !this.#transport) throw new AppError('invalid_state', { message: 'The leg was closed.' })
    if (offer.dtls.fingerprint !== before.dtls.fingerprint) throw new AppError('invalid_request', { message: 'The SDP offer has another certificate: that is a new peer.', param: 'sdp' })
    if (offer.audio.mid !== before.audio.mid || offer.data?.mid !== before.data?.mid) throw new AppError('invalid_request', { message: 'The SDP offer moves the audio or the data channels to another m-line.', param: 'sdp' })
    if (!offer.audio.codecs.some(({ codec, payloadType }) => codec === this.#codec.codec && payloadType === this.#codec.payloadType)) throw new AppError('invalid_request', { message: 'The SDP offer no longer has the codec of the call.', param: 'sdp' })
    if (offer.iceUfrag !== before.iceUfrag) await this.#transport.restartIce()
    // Whoever began DTLS began it: a new offer says actpass again (RFC 8842 §5.3).
    this.#offer = { ...offer, dtls: { ...offer.dtls, setup: before.dtls.setup } }
    return this.answer()
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#host.peers--
    this.#channels?.close()
    this.#closeTransports()
    this.#inbound?.close()
    this.#outbound?.close()
  }

  #createTransport(router: types.Router): Promise<types.WebRtcTransport> {
    return router.createWebRtcTransport({
      webRtcServer: this.#host.server,
      enableUdp: true,
      enableTcp: true,
      preferUdp: true,
      iceConsentTimeout: ICE_CONSENT_S,
      enableSctp: this.#offer.data !== null,
      maxSendMessageSize: MAX_MESSAGE_BYTES,
      maxReceiveMessageSize: MAX_MESSAGE_BYTES,
    })
  }

  #watch(transport: types.WebRtcTransport): void {
    transport.on('routerclose', () => this.#lose(WORKER_DIED))
    transport.on('dtlsstatechange', (state) => {
      if (state === 'connected') this.#onConnected()
      else if (state === 'failed') this.#lose('dtls_failed')
      else if (state === 'closed') this.#lose('peer_closed')
    })
    // A browser that closes its connection aborts SCTP; not each of them also ends DTLS.
    transport.on('sctpstatechange', (state) => {
      if (state === 'closed' || state === 'failed') this.#lose('peer_closed')
    })
    transport.on('icestatechange', (state) => {
      if (!this.#connected) return
      this.#giveUpAtMs = state === 'disconnected' ? this.#settings.time.nowMs() + RECONNECT_TIMEOUT_MS : Infinity
    })
  }

  #onConnected(): void {
    this.#connected = true
    this.#giveUpAtMs = Infinity
    this.#ears?.onConnected()
  }

  async #openInbound(router: types.Router, transport: types.WebRtcTransport, direct: types.DirectTransport): Promise<void> {
    const { audio } = this.#offer
    const decoder = await openDecoder({ encoding: this.#traits.encoding, sampleRateHz: this.sampleRateHz })
    const inbound = new Inbound({ decoder, payloadType: this.#codec.payloadType, clockRateHz: this.#traits.clockRateHz, onFrame: (pcm) => this.#ears?.onSaid(pcm) })
    this.#inbound = inbound
    const headerExtensions = audio.midExtensionId === null ? [] : [{ uri: 'urn:ietf:params:rtp-hdrext:sdes:mid' as const, id: audio.midExtensionId }]
    const producer = await transport.produce({
      kind: 'audio',
      rtpParameters: { mid: audio.mid, codecs: [this.#rtpCodec], headerExtensions, encodings: [audio.ssrc === null ? {} : { ssrc: audio.ssrc }], rtcp: { reducedSize: audio.reducedSizeRtcp } },
    })
    const ear = await direct.consume({ producerId: producer.id, rtpCapabilities: router.rtpCapabilities })
    ear.on('rtp', (bytes) => {
      const packet = readRtp(bytes)
      if (packet && !this.#closed) inbound.packet(packet, this.#settings.time.nowMs())
    })
  }

  async #openOutbound(router: types.Router, transport: types.WebRtcTransport, direct: types.DirectTransport): Promise<void> {
    const encoder = await openEncoder({ encoding: this.#traits.encoding, sampleRateHz: this.sampleRateHz }, this.#settings.opus)
    const ssrc = randomInt(1, 2 ** 32)
    const mouth = await direct.produce({ kind: 'audio', rtpParameters: { codecs: [this.#rtpCodec], encodings: [{ ssrc }] } })
    const consumer = await transport.consume({ producerId: mouth.id, rtpCapabilities: { codecs: router.rtpCapabilities.codecs ?? [] } })
    this.#ssrc = consumer.rtpParameters.encodings![0]!.ssrc!
    this.#outbound = new Outbound({
      encoder,
      payloadType: this.#codec.payloadType,
      ssrc,
      clockRateHz: this.#traits.clockRateHz,
      send: (packet) => mouth.send(packet),
      nowMs: () => this.#settings.time.nowMs(),
    })
  }

  async #openChannels(transport: types.WebRtcTransport, direct: types.DirectTransport, peerMaxBytes: number, onDataChannel: WebRtcJoin['onDataChannel']): Promise<void> {
    this.#channels = await DataChannels.listen({
      transport,
      direct,
      maxMessageBytes: Math.min(peerMaxBytes, MAX_MESSAGE_BYTES),
      maxMessagesPerSecond: this.#settings.maxMessagesPerSecond,
      onDataChannel: onDataChannel ?? ((_label, channel) => channel.close()),
      onFlood: () => this.#lose('flood'),
      onFault: this.#settings.onFault,
    })
  }

  get #traits(): (typeof CODECS)[WebRtcCodec] {
    return CODECS[this.#codec.codec]
  }

  get #rtpCodec(): types.RtpCodecParameters {
    const { mimeType, clockRateHz, channels } = this.#traits
    return { mimeType, clockRate: clockRateHz, channels, payloadType: this.#codec.payloadType }
  }

  /** The far end is gone. The room is told, and closes us. */
  #lose(reason: string): void {
    if (this.#closed || this.#lostWith !== null) return
    this.#lostWith = reason
    this.close()
    this.#ears?.onClosed(reason)
  }

  #closeTransports(): void {
    this.#transport?.close()
    this.#direct?.close()
  }
}
