import { AppError, newId } from '@trunkline/core'
import type { PlayoutClock, PlayoutHandle } from '../../playout/clock.ts'
import type { SlotOutcome } from '../../playout/member.ts'
import type { MonotonicClock } from '../../playout/monotonic.ts'
import type { DirectJoin, DirectLeg, JoinOptions, Leg, LegRole, Room, WebRtcJoin, WebRtcLeg } from '../contract.ts'
import { hears } from './audible.ts'
import { RoomLeg } from './leg.ts'
import { WORKER_DIED } from './peer.ts'
import type { Peer } from './peer.ts'
import type { Voice } from './voice.ts'

/** Far more than a call needs; a bound for what one client can make us mix. */
const MAX_LEGS = 16
/** After a stall so many slots are mixed at once; what is older gives way in the queues. */
const MAX_CATCH_UP = 4

export type RoomDeps = {
  /** The wheel of the process: slots of 20 ms. */
  clock: PlayoutClock
  time: MonotonicClock
  /** Where WebRTC is served. Rejects with AppError. */
  connectPeer: ((options: WebRtcJoin) => Promise<Peer>) | null
  onClosed(room: MixRoom): void
  /** A listener of ours threw: for the log. */
  onFault: (error: unknown) => void
}

type Seat = { leg: RoomLeg; peer: Peer | null }

/** A room that mixes. It wakes up every 20 ms only while somebody hears more than one voice or a WebRTC peer is in it. */
export class MixRoom implements Room {
  readonly id: string
  readonly #deps: RoomDeps
  readonly #openedAtMs: number
  readonly #handle: PlayoutHandle
  #seats: readonly Seat[] = []
  #mixedVoices: readonly Voice[] = []
  #mixedLegs: readonly RoomLeg[] = []
  #lastSlot = -1
  #joining = 0
  #closedWith: string | null = null
  #closedListeners: ((reason: string) => void)[] = []

  constructor(id: string, deps: RoomDeps) {
    this.id = id
    this.#deps = deps
    this.#openedAtMs = deps.time.nowMs()
    const onFault = (error: unknown): void => {
      deps.onFault(error)
      this.close('fault')
    }
    this.#handle = deps.clock.join({ playSlot: (slot) => this.#playSlot(slot), onFault }, { leadMs: 0 })
  }

  join(role: LegRole, options: DirectJoin): Promise<DirectLeg>
  join(role: LegRole, options: WebRtcJoin): Promise<WebRtcLeg>
  join(role: LegRole, options: JoinOptions): Promise<Leg>
  async join(role: LegRole, options: JoinOptions): Promise<Leg> {
    this.#assertRoomFor()
    if (options.kind === 'direct') return this.#seat(role, options.sampleRateHz, null)
    if (!this.#deps.connectPeer) throw new AppError('unavailable', { message: 'This installation serves no WebRTC calls: it has no media worker.' })
    return this.#joinPeer(role, options, this.#deps.connectPeer)
  }

  setRole(legId: string, role: LegRole): void {
    const seat = this.#seats.find(({ leg }) => leg.id === legId)
    if (!seat) throw new AppError('not_found', { message: 'There is no such leg in this room.', param: 'leg_id' })
    seat.leg.role = role
    this.#rewire()
  }

  onClosed(listener: (reason: string) => void): void {
    if (this.#closedWith !== null) return listener(this.#closedWith)
    this.#closedListeners.push(listener)
  }

  close(reason: string): void {
    if (this.#closedWith !== null) return
    this.#closedWith = reason
    this.#handle.leave()
    for (const { leg } of this.#seats) leg.close(reason)
    this.#deps.onClosed(this)
    for (const listener of this.#closedListeners) listener(reason)
    this.#closedListeners = []
  }

  async #joinPeer(role: LegRole, options: WebRtcJoin, connectPeer: (options: WebRtcJoin) => Promise<Peer>): Promise<WebRtcLeg> {
    this.#joining++
    const peer = await connectPeer(options).finally(() => this.#joining--)
    if (this.#closedWith !== null) {
      peer.close()
      throw new AppError('invalid_state', { message: 'The room was closed.' })
    }
    const leg = this.#seat(role, peer.sampleRateHz, peer)
    return asWebRtcLeg(leg, peer, (reason) => this.#losePeer(leg, reason))
  }

  /** A supervisor lost with a worker is one listener less; without its caller a room is nothing. */
  #losePeer(leg: RoomLeg, reason: string): void {
    leg.close(reason)
    if (reason === WORKER_DIED && !this.#seats.some(({ leg }) => leg.role === 'caller')) this.close(reason)
  }

  #seat(role: LegRole, sampleRateHz: RoomLeg['sampleRateHz'], peer: Peer | null): RoomLeg {
    const leg = new RoomLeg(newId(), role, sampleRateHz, {
      nowMs: () => Math.round(this.#deps.time.nowMs() - this.#openedAtMs),
      onPrompt: () => this.#rewire(),
      onLeft: (left) => this.#leave(left),
      onFault: this.#deps.onFault,
    })
    if (peer) leg.wire.onHear((pcm) => peer.hear(pcm))
    this.#seats = [...this.#seats, { leg, peer }]
    this.#rewire()
    return leg
  }

  #leave(leg: RoomLeg): void {
    this.#seats.find((seat) => seat.leg === leg)?.peer?.close()
    this.#seats = this.#seats.filter((seat) => seat.leg !== leg)
    if (this.#closedWith === null) this.#rewire()
  }

  /** Who hears whom changes seldom; every frame only follows what is laid here. */
  #rewire(): void {
    const legs = this.#seats.map(({ leg }) => leg)
    for (const leg of legs) {
      const others = legs.filter((other) => other !== leg && hears(leg.role, other.role)).map(({ voice }) => voice)
      leg.sources = leg.prompt ? [...others, leg.prompt] : others
    }
    this.#mixedLegs = legs.filter(({ sources }) => sources.length > 1)
    const voices = legs.flatMap(({ voice, prompt }) => (prompt ? [voice, prompt] : [voice]))
    this.#mixedVoices = voices.filter((voice) => this.#mixedLegs.some(({ sources }) => sources.includes(voice)))
    if (this.#needsSlots()) this.#handle.kick()
    const mixed = this.#mixedVoices // A listener that is told of something may change the room again.
    for (const voice of voices) {
      const alone = legs.filter(({ sources }) => sources.length === 1 && sources[0] === voice)
      voice.heardBy(alone, mixed.includes(voice))
    }
  }

  #needsSlots(): boolean {
    return this.#mixedLegs.length > 0 || this.#seats.some(({ peer }) => peer !== null)
  }

  #playSlot(slot: number): SlotOutcome {
    if (!this.#needsSlots()) {
      this.#lastSlot = -1
      return 'idle'
    }
    const slots = this.#lastSlot < 0 ? 1 : Math.min(MAX_CATCH_UP, slot - this.#lastSlot)
    this.#lastSlot = slot
    const nowMs = this.#deps.time.nowMs()
    for (const { peer } of this.#seats) peer?.tick(nowMs)
    for (let n = 0; n < slots; n++) this.#mixOnce()
    return 'waiting'
  }

  #mixOnce(): void {
    for (const voice of this.#mixedVoices) voice.nextSlot()
    for (const leg of this.#mixedLegs) leg.hearMix()
  }

  #assertRoomFor(): void {
    if (this.#closedWith !== null) throw new AppError('invalid_state', { message: 'The room was closed.' })
    if (this.#seats.length + this.#joining >= MAX_LEGS) throw new AppError('invalid_state', { message: `A room holds ${MAX_LEGS} legs.` })
  }
}

/** A peer's leg has no wire end for others: the peer is on it. */
function asWebRtcLeg(leg: RoomLeg, peer: Peer, onLost: (reason: string) => void): WebRtcLeg {
  let connected = false
  let listeners: (() => void)[] = []
  peer.attach({
    onSaid: (pcm) => leg.wire.say(pcm),
    onClosed: onLost,
    onConnected() {
      connected = true
      for (const listener of listeners) listener()
      listeners = []
    },
  })
  return {
    id: leg.id,
    sampleRateHz: leg.sampleRateHz,
    onFrame: (listener) => leg.onFrame(listener),
    send: (pcm) => leg.send(pcm),
    onClosed: (listener) => leg.onClosed(listener),
    close: (reason) => leg.close(reason),
    onConnected(listener) {
      if (connected) listener()
      else listeners.push(listener)
    },
    renegotiate: (offerSdp) => peer.renegotiate(offerSdp),
  }
}
