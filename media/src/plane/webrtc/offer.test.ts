import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { AppError } from '@trunkline/core'
import { writeAnswer } from './answer.ts'
import { parseOffer } from './offer.ts'
import type { Offer } from './offer.ts'

const FINGERPRINT = Array.from({ length: 32 }, (_, n) => (n * 7).toString(16).padStart(2, '0').toUpperCase().slice(-2)).join(':')

const sdp = (...lines: string[]): string => ['v=0', 'o=- 4611731400430051336 2 IN IP4 127.0.0.1', 's=-', 't=0 0', ...lines, ''].join('\r\n')
const transport = (ufrag = 'Xy9z') => [`a=ice-ufrag:${ufrag}`, 'a=ice-pwd:0123456789abcdefghijkl', 'a=ice-options:trickle', `a=fingerprint:sha-256 ${FINGERPRINT}`, 'a=setup:actpass']

/** As Chromium lays it out: everything in each m-line. */
const chromium = (ufrag?: string): string =>
  sdp(
    'a=group:BUNDLE 0 1',
    'a=extmap-allow-mixed',
    'a=msid-semantic: WMS 7f0c',
    'm=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126',
    'c=IN IP4 0.0.0.0',
    'a=rtcp:9 IN IP4 0.0.0.0',
    ...transport(ufrag),
    'a=mid:0',
    'a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level',
    'a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid',
    'a=sendrecv',
    'a=msid:7f0c 11aa',
    'a=rtcp-mux',
    'a=rtcp-rsize',
    'a=rtpmap:111 opus/48000/2',
    'a=rtcp-fb:111 transport-cc',
    'a=fmtp:111 minptime=10;useinbandfec=1',
    'a=rtpmap:63 red/48000/2',
    'a=fmtp:63 111/111',
    'a=rtpmap:9 G722/8000',
    'a=rtpmap:0 PCMU/8000',
    'a=rtpmap:8 PCMA/8000',
    'a=rtpmap:13 CN/8000',
    'a=rtpmap:110 telephone-event/48000',
    'a=rtpmap:126 telephone-event/8000',
    'a=ssrc:1967875521 cname:q+aB',
    'a=ssrc:1967875521 msid:7f0c 11aa',
    'm=application 9 UDP/DTLS/SCTP webrtc-datachannel',
    'c=IN IP4 0.0.0.0',
    ...transport(ufrag),
    'a=mid:1',
    'a=sctp-port:5000',
    'a=max-message-size:262144',
  )

/** As Firefox lays it out: the certificate on top, ICE in the lines, Opus as 109. */
const firefox = sdp(
  'a=sendrecv',
  `a=fingerprint:sha-256 ${FINGERPRINT}`,
  'a=group:BUNDLE 0 1',
  'a=ice-options:trickle',
  'm=audio 9 UDP/TLS/RTP/SAVPF 109 9 0 8 101',
  'c=IN IP4 0.0.0.0',
  'a=sendrecv',
  'a=extmap:3 urn:ietf:params:rtp-hdrext:sdes:mid',
  'a=ice-pwd:00aa00aa00aa00aa00aa00aa',
  'a=ice-ufrag:12345678',
  'a=mid:0',
  'a=rtcp-mux',
  'a=rtpmap:109 opus/48000/2',
  'a=rtpmap:0 PCMU/8000',
  'a=rtpmap:8 PCMA/8000',
  'a=setup:actpass',
  'a=ssrc:42 cname:{x}',
  'm=application 0 UDP/DTLS/SCTP webrtc-datachannel',
  'a=bundle-only',
  'c=IN IP4 0.0.0.0',
  'a=sendrecv',
  'a=mid:1',
  'a=setup:actpass',
  'a=sctp-port:5000',
  'a=max-message-size:1073741823',
)

describe('parseOffer', () => {
  it('reads what Chromium offers', () => {
    const offer = parseOffer(chromium())
    expect(offer.audio).toEqual({
      index: 0,
      mid: '0',
      direction: 'sendrecv',
      codecs: [
        { codec: 'opus', payloadType: 111 },
        { codec: 'pcmu', payloadType: 0 },
        { codec: 'pcma', payloadType: 8 },
      ],
      ssrc: 1_967_875_521,
      midExtensionId: 4,
      reducedSizeRtcp: true,
    })
    expect(offer.data).toEqual({ index: 1, mid: '1', sctpPort: 5_000, maxMessageBytes: 262_144 })
    expect(offer.dtls).toEqual({ setup: 'actpass', algorithm: 'sha-256', fingerprint: FINGERPRINT })
    expect([offer.bundled, offer.iceUfrag]).toEqual([true, 'Xy9z'])
  })

  it('reads what Firefox offers: a certificate on top, a data line that waits for its bundle', () => {
    const offer = parseOffer(firefox)
    expect(offer.audio.codecs[0]).toEqual({ codec: 'opus', payloadType: 109 })
    expect(offer.data?.mid).toBe('1')
    expect(offer.dtls.fingerprint).toBe(FINGERPRINT)
    expect(offer.iceUfrag).toBe('12345678') // Digits stay text.
  })

  it('knows G.711 by its number alone (RFC 3551)', () => {
    expect(parseOffer(chromium().replace(/a=rtpmap:(0|8) .*\r\n/g, '')).audio.codecs.map(({ codec }) => codec)).toEqual(['opus', 'pcmu', 'pcma'])
  })

  it('leaves out data channels that would need a transport of their own', () => {
    expect(parseOffer(chromium().replace('BUNDLE 0 1', 'BUNDLE 0')).data).toBeNull()
  })

  it.each<[string, (sdp: string) => string, RegExp]>([
    ['no audio', (sdp) => sdp.replace('m=audio 9', 'm=audio 0'), /no audio m-line/],
    ['plain RTP', (sdp) => sdp.replace('UDP/TLS/RTP/SAVPF', 'RTP/AVP'), /audio over RTP\/AVP/],
    ['no ICE', (sdp) => sdp.replaceAll(/a=ice-ufrag.*\r\n/g, ''), /no a=ice-ufrag/],
    ['no certificate', (sdp) => sdp.replaceAll(/a=fingerprint.*\r\n/g, ''), /no a=fingerprint/],
    ['half a certificate', (sdp) => sdp.replaceAll(FINGERPRINT, 'AA:BB'), /fingerprint that cannot be read/],
    ['no role', (sdp) => sdp.replaceAll('a=setup:actpass', 'a=setup:holdconn'), /no a=setup/],
    ['unknown sender', (sdp) => sdp.replaceAll(/a=ssrc.*\r\n/g, '').replace(/a=extmap:4.*\r\n/, ''), /neither a=ssrc nor/],
    ['a mid that is no token', (sdp) => sdp.replace('a=mid:0', `a=mid:${'x'.repeat(40)}`), /no a=mid/],
    ['a port that is none', (sdp) => sdp.replace('a=sctp-port:5000', 'a=sctp-port:99999'), /sctpPort/],
    ['a wrong clock', (sdp) => sdp.replace('opus/48000/2', 'opus/16000/1').replace(/a=rtpmap:(0|8) PCM./g, 'a=rtpmap:$1 X'), /none of the codecs/],
    ['33 lines', (sdp) => sdp + 'm=video 0 X 0\r\n'.repeat(31), /cannot be read \(media/],
  ])('refuses an offer with %s', (_what, spoil, message) => {
    expect(() => parseOffer(spoil(chromium()))).toThrow(message)
    expect(() => parseOffer(spoil(chromium()))).toThrow(AppError)
  })

  it('never throws anything but a refusal, however the text was cut and stirred', () => {
    const lines = chromium().split('\r\n')
    const stirred = fc.array(fc.oneof(fc.constantFrom(...lines), fc.string(), fc.constantFrom('m=', 'm=audio', 'a=mid:', 'a=ssrc:x y', 'a=group:BUNDLE', 'a=rtpmap:', 'a=sctp-port:-1', 'a=extmap:x y')), { maxLength: 60 })
    fc.assert(
      fc.property(stirred, (lines) => {
        try {
          parseOffer(lines.join('\r\n'))
        } catch (error) {
          expect(error).toBeInstanceOf(AppError)
        }
      }),
      { numRuns: 500 },
    )
  })
})

describe('writeAnswer', () => {
  const answerTo = (offer: Offer, ssrc: number | null = 77): string =>
    writeAnswer({
      offer,
      codec: offer.audio.codecs[0]!,
      ice: { usernameFragment: 'ours', password: 'secret' },
      candidates: [
        { foundation: 'udpcandidate', priority: 1_076_302_079, ip: '198.51.100.7', address: '198.51.100.7', protocol: 'udp', port: 40_000, type: 'host' },
        { foundation: 'tcpcandidate', priority: 1_076_276_479, ip: '198.51.100.7', address: '198.51.100.7', protocol: 'tcp', port: 40_001, type: 'host', tcpType: 'passive' },
      ],
      fingerprints: [
        { algorithm: 'sha-1', value: '00:11' },
        { algorithm: 'sha-256', value: FINGERPRINT },
      ],
      ssrc,
      sctp: offer.data ? { port: 5_000, maxMessageBytes: 262_144 } : null,
      sessionId: '1',
      version: 0,
    })

  it('has the lines of the offer in the same order, and refuses what it does not take', () => {
    const withVideo = chromium().replace('m=application', 'm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:v\r\na=rtpmap:96 VP8/90000\r\nm=application')
    const answer = answerTo(parseOffer(withVideo))
    expect(answer.match(/^m=.*$/gm)).toEqual(['m=audio 9 UDP/TLS/RTP/SAVPF 111', 'm=video 0 UDP/TLS/RTP/SAVPF 96', 'm=application 9 UDP/DTLS/SCTP webrtc-datachannel'])
    expect(answer).toContain('a=group:BUNDLE 0 1\r\n')
    expect(answer).toMatch(/m=video.*\r\nc=.*\r\na=mid:v\r\na=inactive\r\n/)
  })

  it('keeps the payload type, and tells both candidates and one certificate', () => {
    const answer = answerTo(parseOffer(firefox))
    expect(answer).toContain('a=rtpmap:109 opus/48000/2\r\n')
    expect(answer).toContain('a=candidate:udpcandidate 1 udp 1076302079 198.51.100.7 40000 typ host\r\n')
    expect(answer).toContain('a=candidate:tcpcandidate 1 tcp 1076276479 198.51.100.7 40001 typ host tcptype passive\r\n')
    expect(answer).not.toContain('sha-1 ')
    expect(answer).not.toContain('a=rtcp-rsize')
  })

  it('lets the peer begin DTLS unless it wants to be waited for', () => {
    expect(answerTo(parseOffer(chromium()))).toContain('a=setup:passive')
    expect(answerTo(parseOffer(chromium().replaceAll('actpass', 'passive')))).toContain('a=setup:active')
  })

  it('turns the direction round', () => {
    const of = (direction: string): string => /a=(send|recv|inactive)\w*/.exec(answerTo(parseOffer(chromium().replace('a=sendrecv', `a=${direction}`))))![0]
    expect(['sendrecv', 'sendonly', 'recvonly', 'inactive'].map(of)).toEqual(['a=sendrecv', 'a=recvonly', 'a=sendonly', 'a=inactive'])
  })

  it('can be read as an offer of its own: nothing in it is malformed', () => {
    expect(parseOffer(answerTo(parseOffer(chromium()))).audio.codecs).toEqual([{ codec: 'opus', payloadType: 111 }])
  })
})
