import type { types } from 'mediasoup'
import { CODECS } from './codecs.ts'
import type { Direction, MLine, Offer, OfferedCodec } from './offer.ts'

export type AnswerParts = {
  offer: Offer
  codec: OfferedCodec
  ice: types.IceParameters
  candidates: types.IceCandidate[]
  fingerprints: types.DtlsFingerprint[]
  /** What the peer will hear, when it wants to hear something. */
  ssrc: number | null
  sctp: { port: number; maxMessageBytes: number } | null
  sessionId: string
  /** One more for each answer of the same session (RFC 3264 §8). */
  version: number
}

const STREAM = 'trunkline'

/** The answer of an ICE-lite peer that accepts one audio line and, where offered beside it, the data channels. */
export function writeAnswer(parts: AnswerParts): string {
  const { offer } = parts
  const accepted = [offer.audio.mid, ...(parts.sctp && offer.data ? [offer.data.mid] : [])]
  const lines = [
    'v=0',
    `o=- ${parts.sessionId} ${parts.version} IN IP4 0.0.0.0`,
    's=-',
    't=0 0',
    'a=ice-lite',
    ...(offer.bundled ? [`a=group:BUNDLE ${accepted.join(' ')}`] : []),
    `a=msid-semantic: WMS ${STREAM}`,
    ...offer.mLines.flatMap((line, index) => {
      if (index === offer.audio.index) return audioLines(parts)
      return index === offer.data?.index && parts.sctp ? dataLines(parts, offer.data.mid, parts.sctp) : refusedLines(line)
    }),
  ]
  return `${lines.join('\r\n')}\r\n`
}

function audioLines(parts: AnswerParts): string[] {
  const { audio } = parts.offer
  const { payloadType, codec } = parts.codec
  return [
    `m=audio 9 ${parts.offer.mLines[audio.index]!.protocol} ${payloadType}`,
    'c=IN IP4 0.0.0.0',
    `a=mid:${audio.mid}`,
    `a=${answerTo(audio.direction)}`,
    'a=rtcp-mux',
    ...(audio.reducedSizeRtcp ? ['a=rtcp-rsize'] : []),
    ...transportLines(parts),
    `a=rtpmap:${payloadType} ${CODECS[codec].rtpmap}`,
    // Mono both ways, a spare copy of lost frames, no pauses in the stream: silence is sound to a recogniser.
    ...(codec === 'opus' ? [`a=fmtp:${payloadType} minptime=10;useinbandfec=1;stereo=0;sprop-stereo=0;usedtx=0`] : []),
    'a=ptime:20',
    ...(audio.midExtensionId === null ? [] : [`a=extmap:${audio.midExtensionId} urn:ietf:params:rtp-hdrext:sdes:mid`]),
    ...(parts.ssrc === null ? [] : [`a=msid:${STREAM} audio`, `a=ssrc:${parts.ssrc} cname:${STREAM}`]),
  ]
}

function dataLines(parts: AnswerParts, mid: string, sctp: { port: number; maxMessageBytes: number }): string[] {
  const { protocol } = parts.offer.mLines[parts.offer.data!.index]!
  return [
    `m=application 9 ${protocol} webrtc-datachannel`,
    'c=IN IP4 0.0.0.0',
    `a=mid:${mid}`,
    ...transportLines(parts),
    `a=sctp-port:${sctp.port}`,
    `a=max-message-size:${sctp.maxMessageBytes}`,
  ]
}

function refusedLines({ kind, protocol, formats, mid }: MLine): string[] {
  return [`m=${kind} 0 ${protocol} ${formats || '0'}`, 'c=IN IP4 0.0.0.0', ...(mid === null ? [] : [`a=mid:${mid}`]), 'a=inactive']
}

function transportLines({ offer, ice, candidates, fingerprints }: AnswerParts): string[] {
  return [
    `a=setup:${ourSetup(offer)}`,
    `a=ice-ufrag:${ice.usernameFragment}`,
    `a=ice-pwd:${ice.password}`,
    ...fingerprints.filter(({ algorithm }) => algorithm === 'sha-256').map(({ algorithm, value }) => `a=fingerprint:${algorithm} ${value}`),
    ...candidates.map(candidateLine),
    'a=end-of-candidates',
  ]
}

function candidateLine({ foundation, protocol, priority, address, port, type, tcpType }: types.IceCandidate): string {
  return `a=candidate:${foundation} 1 ${protocol} ${priority} ${address} ${port} typ ${type}${tcpType ? ` tcptype ${tcpType}` : ''}`
}

/** We let the peer begin the handshake: it does so as soon as ICE is through, and we need not know its address before. */
export function ourSetup({ dtls }: Offer): 'active' | 'passive' {
  return dtls.setup === 'passive' ? 'active' : 'passive'
}

export function answerTo(direction: Direction): Direction {
  if (direction === 'sendonly') return 'recvonly'
  return direction === 'recvonly' ? 'sendonly' : direction
}
