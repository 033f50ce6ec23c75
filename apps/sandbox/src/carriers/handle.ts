import type { Call, Moment } from './call.ts'
import type { LineFormat } from './format.ts'
import type { MediaStats } from './media-socket.ts'
import { Network } from './network.ts'
import { Utterance, type UtteranceInput } from './sound.ts'
import { stereoWav } from './track.ts'
import type { LiveCall } from './world.ts'

/** A phone in somebody's hand, in process. */
export type CallHandle = {
  id: string
  state(): Call['state']
  /** What has happened, with real times. */
  moments(): readonly Moment[]
  /** Of all media streams that the call has had, in order. */
  streams(): { streamId: string; stats: MediaStats }[]
  say(utterance: UtteranceInput | string): void
  /** In the middle of a word. */
  hush(): void
  press(digits: string): void
  hangUp(): void
  setNetwork(network: Partial<Network>): void
  /** The carrier's media socket breaks without a goodbye. */
  dropSocket(): void
  /** The carrier does not read what we send for a while. */
  stall(ms: number): void
  /** The first moment of this kind, past ones included (`from`: after so many of them). Rejects after `timeoutMs` (10 s). */
  waitFor(kind: string, options?: { timeoutMs?: number; from?: number }): Promise<Moment>
  /** What the person hears: 20 ms at a time, in the call's format, lent. Returns what stops it. */
  onHear(listener: (frame: Buffer, index: number) => void): () => void
  /** Each message of sound as it comes from our server, at this time of `performance.now()`; lent. Returns what stops it. */
  onMedia(listener: (atMs: number, bytes: Buffer) => void): () => void
  format: LineFormat
  /** Stereo WAV: caller left, agent right, from the answer on. */
  wav(): Buffer
  callerPcm(): Int16Array
  agentPcm(): Int16Array
}

const WAIT_MS = 10_000

export function waitForMoment(call: Call, kind: string, timeoutMs: number, from = 0): Promise<Moment> {
  const past = call.moments.filter((moment) => moment.kind === kind)[from]
  if (past) return Promise.resolve(past)
  let missing = from - call.moments.filter((moment) => moment.kind === kind).length
  return new Promise((resolve, reject) => {
    const heard = (moment: Moment) => {
      if (moment.kind !== kind || missing-- > 0) return
      stop()
      resolve(moment)
    }
    const timer = setTimeout(() => {
      stop()
      reject(new Error(`No ${kind} within ${timeoutMs} ms; there was ${call.moments.map((moment) => moment.kind).join(', ') || 'nothing'}`))
    }, timeoutMs)
    const stop = () => {
      clearTimeout(timer)
      call.off('moment', heard)
    }
    call.on('moment', heard)
  })
}

export function setNetwork(live: LiveCall, network: Partial<Network>): Network {
  const merged = Network.parse({ ...live.options.network, ...network })
  live.options.network = merged
  if (live.socket) live.socket.network = merged
  return merged
}

export function handleOf(live: LiveCall): CallHandle {
  const { call } = live
  return {
    id: call.id,
    format: call.facts.format,
    state: () => call.state,
    moments: () => call.moments,
    streams: () => live.sockets.map(({ streamId, stats }) => ({ streamId, stats })),
    say: (utterance) => call.say(Utterance.parse(typeof utterance === 'string' ? { text: utterance } : utterance)),
    hush: () => call.hush(),
    press: (digits) => call.press(digits),
    hangUp: () => call.end(call.state === 'ringing' ? 'canceled' : 'completed', 'person'),
    setNetwork: (network) => void setNetwork(live, network),
    dropSocket: () => live.socket?.drop(),
    stall: (ms) => live.socket?.stall(ms),
    waitFor: (kind, { timeoutMs = WAIT_MS, from = 0 } = {}) => waitForMoment(call, kind, timeoutMs, from),
    onHear: (listener) => {
      call.on('heard', listener)
      return () => void call.off('heard', listener)
    },
    onMedia: (listener) => {
      call.on('media', listener)
      return () => void call.off('media', listener)
    },
    wav: () => stereoWav(call.caller, call.agent),
    callerPcm: () => call.caller.pcm(),
    agentPcm: () => call.agent.pcm(),
  }
}
