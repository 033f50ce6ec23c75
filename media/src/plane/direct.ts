import type { MediaPlane } from './contract.ts'
import { RoomList } from './room/list.ts'
import type { PlaneOptions } from './room/list.ts'

/** Rooms in plain code: nothing to install, no WebRTC. */
export function createDirectPlane(options: PlaneOptions = {}): MediaPlane {
  const rooms = new RoomList(options, null)
  return { driver: 'direct', openRoom: async (id) => rooms.open(id), close: async () => rooms.close() }
}
