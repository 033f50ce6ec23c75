import type { Pcm, SampleRateHz } from '../frame.ts'

/** Where a leg stands in a room. A supervisor hears all; `whisper` is heard by the agent side only, `barge` by everybody. */
export type LegRole = 'caller' | 'agent' | 'colleague' | { supervisor: 'listen' | 'whisper' | 'barge' }

/** Sound of one participant in a room. Owned by the room's owner; `close` is idempotent. */
export type Leg = {
  readonly id: string
  readonly sampleRateHz: SampleRateHz
  /** One frame of 20 ms of what this participant says, in order; gaps are filled with silence. One listener. */
  onFrame(listener: (pcm: Pcm, timestampMs: number) => void): void
  /** One frame of 20 ms to be played to this participant now. Pacing is the caller's (see playout). */
  send(pcm: Pcm): void
  onClosed(listener: (reason: string) => void): void
  close(reason: string): void
}

/** A room of one call: who hears whom. Mixing and codecs happen here; turn-taking does not. */
export type Room = {
  readonly id: string
  join(leg: LegRole, options: JoinOptions): Promise<Leg>
  setRole(legId: string, role: LegRole): void
  close(reason: string): void
}

/** `direct`: frames come and go by function calls (a carrier's socket). `webrtc`: SDP offer in, answer out. */
export type JoinOptions = { kind: 'direct'; sampleRateHz: SampleRateHz } | { kind: 'webrtc'; offerSdp: string; onAnswer: (sdp: string) => void; onDataChannel?: (label: string, channel: DataChannel) => void }

export type DataChannel = { send(text: string): void; onMessage(listener: (text: string) => void): void; onClosed(listener: () => void): void; close(): void }

/** `direct` needs nothing; `mediasoup` needs its worker and serves WebRTC. */
export type MediaPlane = {
  readonly driver: 'direct' | 'mediasoup'
  openRoom(id: string): Promise<Room>
  close(): Promise<void>
}
