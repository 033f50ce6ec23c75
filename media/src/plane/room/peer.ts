import type { Pcm, SampleRateHz } from '../../frame.ts'

/** Reason of a leg, and of a room that has lost its caller this way. The call can be taken up again on another worker. */
export const WORKER_DIED = 'media_worker_died'

/** The far end of a WebRTC leg, as the room sees it: sound in both directions, and its end. */
export type Peer = {
  readonly sampleRateHz: SampleRateHz
  /** Once, by the room. */
  attach(ears: PeerEars): void
  /** One frame of 20 ms to the peer now. */
  hear(pcm: Pcm): void
  /** Every 20 ms: silence is made where packets are missing. */
  tick(nowMs: number): void
  renegotiate(offerSdp: string): Promise<string>
  /** Idempotent, and not told to the ears. */
  close(): void
}

export type PeerEars = {
  onSaid(pcm: Pcm): void
  onConnected(): void
  onClosed(reason: string): void
}
