import { CODECS } from './codecs.ts'
import type { WebRtcCodec } from './codecs.ts'
import { readSdp, refuse } from './sdp.ts'
import type { ParsedMLine, ParsedSession } from './sdp.ts'

const MID_EXTENSION = 'urn:ietf:params:rtp-hdrext:sdes:mid'
/** RFC 8841 §6.1: what a peer takes that does not say. */
const DEFAULT_MAX_MESSAGE_BYTES = 65_536

export type Direction = 'sendrecv' | 'sendonly' | 'recvonly' | 'inactive'
export type OfferedCodec = { codec: WebRtcCodec; payloadType: number }

/** What an m-line needs to be refused in the answer (RFC 3264 §6: the same lines in the same order). */
export type MLine = { kind: string; protocol: string; formats: string; mid: string | null }

export type Offer = {
  mLines: MLine[]
  /** The first audio line that is wanted. */
  audio: {
    index: number
    mid: string
    /** As the peer sees it. */
    direction: Direction
    /** The peer's favourite first. Never empty. */
    codecs: OfferedCodec[]
    /** By which the peer's packets are known: at least one of both. */
    ssrc: number | null
    midExtensionId: number | null
    reducedSizeRtcp: boolean
  }
  /** The line of the data channels, when it shares the audio's transport. */
  data: { index: number; mid: string; sctpPort: number; maxMessageBytes: number } | null
  bundled: boolean
  /** Changes with an ICE restart (RFC 8839 §4.4.1.1). */
  iceUfrag: string
  dtls: { setup: 'actpass' | 'active' | 'passive'; algorithm: 'sha-256' | 'sha-384' | 'sha-512'; fingerprint: string }
}

/** Reads a browser's offer. Throws AppError `invalid_request` with what is missing. */
export function parseOffer(sdp: string): Offer {
  const session = readSdp(sdp)
  const { media } = session
  const bundle = bundledMids(session)
  const isBundled = ({ mid }: ParsedMLine): boolean => mid !== undefined && bundle.has(mid)
  const audio = media.find((line) => line.type === 'audio' && isWanted(line))
  if (!audio) throw refuse('has no audio m-line')
  // Of a bundle, the parameters may stand in any of its lines or, as Firefox has it, on top.
  const transport = [audio, ...media.filter((line) => isBundled(audio) && isBundled(line)), session]
  return {
    mLines: media.map(({ type, protocol, payloads, mid }) => ({ kind: type, protocol, formats: payloads, mid: mid ?? null })),
    audio: readAudio(audio, media.indexOf(audio)),
    data: isBundled(audio) ? readData(media, isBundled) : null,
    bundled: isBundled(audio),
    iceUfrag: transport.find(({ iceUfrag }) => iceUfrag !== undefined)?.iceUfrag ?? missing('a=ice-ufrag'),
    dtls: readDtls(transport),
  }
}

function missing(what: string): never {
  throw refuse(`has no ${what}`)
}

/** Port 0 refuses a line, except for one that waits for its BUNDLE partner (RFC 9143 §6). */
function isWanted({ port, bundleOnly }: ParsedMLine): boolean {
  return port !== 0 || bundleOnly !== undefined
}

function bundledMids({ groups }: ParsedSession): Set<string> {
  return new Set(groups.find(({ type }) => type === 'BUNDLE')?.mids.split(' '))
}

function readAudio(line: ParsedMLine, index: number): Offer['audio'] {
  if (!/^(UDP|TCP)\/TLS\/RTP\/SAVPF?$/.test(line.protocol)) throw refuse(`offers audio over ${line.protocol}; WebRTC is UDP/TLS/RTP/SAVPF`)
  if (line.rtcpMux === undefined) throw refuse('has no a=rtcp-mux for the audio')
  const codecs = readCodecs(line)
  if (codecs.length === 0) throw refuse('offers none of the codecs opus, PCMU, PCMA')
  const ssrc = line.ssrcs?.[0]?.id ?? null
  const midExtensionId = line.ext?.find(({ uri }) => uri === MID_EXTENSION)?.value ?? null
  const speaks = line.direction === 'sendrecv' || line.direction === 'sendonly'
  if (speaks && ssrc === null && midExtensionId === null) throw refuse('has neither a=ssrc nor the header extension sdes:mid for the audio: its packets cannot be told apart')
  return { index, mid: readMid(line), direction: line.direction, codecs, ssrc, midExtensionId, reducedSizeRtcp: line.rtcpRsize !== undefined }
}

/** It goes back in our answer, so it is looked at closely (RFC 8866: a token). */
function readMid({ mid = '' }: ParsedMLine): string {
  if (!/^[\w!#$%&'*+.^`{|}~-]{1,32}$/.test(mid)) throw refuse('has no a=mid, or one that is no token of up to 32 characters')
  return mid
}

function readCodecs(line: ParsedMLine): OfferedCodec[] {
  const payloadTypes = line.payloads.split(' ').map(Number).filter((type) => Number.isInteger(type) && type >= 0 && type <= 127)
  return payloadTypes.flatMap((payloadType) => {
    const codec = codecOf(line, payloadType)
    return codec ? [{ codec, payloadType }] : []
  })
}

function codecOf(line: ParsedMLine, payloadType: number): WebRtcCodec | undefined {
  const map = line.rtp.find(({ payload }) => payload === payloadType)
  const names = Object.keys(CODECS) as WebRtcCodec[]
  if (!map) return names.find((name) => CODECS[name].staticPayloadType === payloadType)
  return names.find((name) => {
    const { rtpmap, clockRateHz, channels } = CODECS[name]
    return map.codec.toLowerCase() === rtpmap.split('/')[0]!.toLowerCase() && map.rate === clockRateHz && (map.encoding ?? 1) === channels
  })
}

/** Beside the audio only: another transport for it would be another ICE and DTLS session, which no browser asks for. */
function readData(media: ParsedMLine[], isBundled: (line: ParsedMLine) => boolean): Offer['data'] {
  const line = media.find((line) => line.type === 'application' && isWanted(line) && isBundled(line) && /^(UDP|TCP)\/DTLS\/SCTP$/.test(line.protocol))
  if (!line) return null
  const max = line.maxMessageSize ?? DEFAULT_MAX_MESSAGE_BYTES
  return { index: media.indexOf(line), mid: readMid(line), sctpPort: line.sctpPort ?? missing('a=sctp-port for the data channels'), maxMessageBytes: max === 0 ? Infinity : max }
}

const FINGERPRINT_BYTES = { 'sha-256': 32, 'sha-384': 48, 'sha-512': 64 } as const

function readDtls(transport: Pick<ParsedSession, 'setup' | 'fingerprint'>[]): Offer['dtls'] {
  const setup = transport.find(({ setup }) => setup !== undefined)?.setup
  if (setup !== 'actpass' && setup !== 'active' && setup !== 'passive') throw refuse('has no a=setup of actpass, active or passive')
  const { type, hash } = transport.find(({ fingerprint }) => fingerprint !== undefined)?.fingerprint ?? missing('a=fingerprint')
  const algorithm = type.toLowerCase()
  if (!isAlgorithm(algorithm)) throw refuse('has a fingerprint that is not SHA-256, SHA-384 or SHA-512')
  if (!new RegExp(`^([0-9A-F]{2}:){${FINGERPRINT_BYTES[algorithm] - 1}}[0-9A-F]{2}$`, 'i').test(hash)) throw refuse('has a fingerprint that cannot be read')
  return { setup, algorithm, fingerprint: hash.toUpperCase() }
}

function isAlgorithm(name: string): name is keyof typeof FINGERPRINT_BYTES {
  return Object.hasOwn(FINGERPRINT_BYTES, name)
}
