import { AppError } from '@trunkline/core'
import { PlayoutClock } from '../../playout/clock.ts'
import { monotonicClock } from '../../playout/monotonic.ts'
import type { MonotonicClock } from '../../playout/monotonic.ts'
import type { Room } from '../contract.ts'
import { MixRoom } from './mix-room.ts'
import type { RoomDeps } from './mix-room.ts'

export type PlaneOptions = {
  /** The wheel of the process, when it has one already. */
  clock?: PlayoutClock
  time?: MonotonicClock
  /** A listener of a leg threw; its leg has been closed. For the log. */
  onFault?: (error: unknown) => void
}

/** The rooms of a plane, by id. */
export class RoomList {
  readonly #rooms = new Map<string, MixRoom>()
  readonly #deps: RoomDeps
  readonly #ownClock: PlayoutClock | null
  #closed = false

  constructor({ clock, time = monotonicClock, onFault = () => {} }: PlaneOptions, connectPeer: RoomDeps['connectPeer']) {
    this.#ownClock = clock ? null : new PlayoutClock({ clock: time })
    this.#deps = { clock: clock ?? this.#ownClock!, time, connectPeer, onFault, onClosed: (room) => this.#rooms.delete(room.id) }
  }

  get size(): number {
    return this.#rooms.size
  }

  open(id: string): Room {
    if (this.#closed) throw new AppError('unavailable', { message: 'The media plane is shutting down.' })
    if (this.#rooms.has(id)) throw new AppError('invalid_state', { message: 'A room of this id is open.', param: 'id' })
    const room = new MixRoom(id, this.#deps)
    this.#rooms.set(id, room)
    return room
  }

  close(): void {
    this.#closed = true
    for (const room of this.#rooms.values()) room.close('shutdown')
    this.#ownClock?.close()
  }
}
