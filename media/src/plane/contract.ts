import type { Pcm, SampleRateHz } from '../frame.ts'

/** Where a leg stands in a room. A supervisor hears all; `whisper` is heard by the agent side only, `barge` by everybody. */
export type LegRole = 'caller' | 'agent' | 'colleague' | { supervisor: 'listen' | 'whisper' | 'barge' }

/** Sound of one participant in a room. Owned by the room's owner; `close` is idempotent. */
export type Leg = {
  readonly id: string
  readonly sampleRateHz: SampleRateHz
  /**
   * One frame of 20 ms of what this participant says, in order; gaps are filled with silence. One listener. The frame is
   * lent for the length of the call. `timestampMs` is where it begins on the clock of the room (0: the room was opened).
   */
  onFrame(listener: (pcm: Pcm, timestampMs: number) => void): void
  /** One frame of 20 ms to be played to this participant now, whatever else it hears. Pacing is the caller's (see playout). */
  send(pcm: Pcm): void
  /** Told once, also when the leg was closed before. */
  onClosed(listener: (reason: string) => void): void
  close(reason: string): void
}

/** The participant's own end of a `direct` leg: what it says goes in, what it is to hear comes out. */
export type Wire = {
  /** One frame of 20 ms that the participant says now; lent for the length of the call. Gaps are the giver's to fill. */
  say(pcm: Pcm): void
  /** One frame of 20 ms that the participant is to hear; lent. None while nobody speaks. One listener. */
  onHear(listener: (pcm: Pcm) => void): void
}
export type DirectLeg = Leg & { readonly wire: Wire }

export type WebRtcLeg = Leg & {
  /** ICE and DTLS are through. Told once, also when that was before. */
  onConnected(listener: () => void): void
  /** Another offer of the same peer (ICE restart, a new m-line): its answer. Rejects with AppError `invalid_request`. */
  renegotiate(offerSdp: string): Promise<string>
}

/** A room of one call: who hears whom. Mixing and codecs happen here; turn-taking does not. */
export type Room = {
  readonly id: string
  /** Rejects with AppError: `invalid_request` (the offer), `invalid_state` (closed, full), `unavailable` (no media worker). */
  join(leg: LegRole, options: DirectJoin): Promise<DirectLeg>
  join(leg: LegRole, options: WebRtcJoin): Promise<WebRtcLeg>
  join(leg: LegRole, options: JoinOptions): Promise<Leg>
  setRole(legId: string, role: LegRole): void
  /** Told once, also when the room was closed before. */
  onClosed(listener: (reason: string) => void): void
  close(reason: string): void
}

/** `direct`: frames come and go by function calls (a carrier's socket, the agent). `webrtc`: SDP offer in, answer out. */
export type JoinOptions = DirectJoin | WebRtcJoin
export type DirectJoin = { kind: 'direct'; sampleRateHz: SampleRateHz }
export type WebRtcJoin = { kind: 'webrtc'; offerSdp: string; onAnswer: (sdp: string) => void; onDataChannel?: (label: string, channel: DataChannel) => void }

/** Text in order. `send` throws AppError `payload_too_large` for more than the peer takes; a peer that does not read is closed. */
export type DataChannel = { send(text: string): void; onMessage(listener: (text: string) => void): void; onClosed(listener: () => void): void; close(): void }

/** `direct` needs nothing; `mediasoup` needs its worker and serves WebRTC. */
export type MediaPlane = {
  readonly driver: 'direct' | 'mediasoup'
  openRoom(id: string): Promise<Room>
  close(): Promise<void>
}
