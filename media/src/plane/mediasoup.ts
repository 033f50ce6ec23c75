import type { OpusSettings } from '../codec/index.ts'
import { monotonicClock } from '../playout/monotonic.ts'
import type { MediaPlane } from './contract.ts'
import { RoomList } from './room/list.ts'
import type { PlaneOptions } from './room/list.ts'
import type { WebRtcCodec } from './webrtc/codecs.ts'
import { connect } from './webrtc/connection.ts'
import { WorkerPool } from './webrtc/workers.ts'
import type { ListenSettings } from './webrtc/workers.ts'

export type MediasoupOptions = PlaneOptions & {
  /** The mediasoup-worker binary (scripts/mediasoup-worker.mjs finds or makes it). */
  workerBin: string
  /** Worker processes, one per core that WebRTC may take. */
  workers?: number
  listen: ListenSettings
  /** What we accept, our favourite first. `pcmu` costs next to no processor time and sounds like a telephone. */
  codecs?: readonly WebRtcCodec[]
  opus?: OpusSettings
  /** Data channel messages of one peer; one that sends more is cut off with the reason `flood`. */
  maxMessagesPerSecond?: number
}

export type MediasoupPlane = MediaPlane & {
  /** Of the living workers, for a health page. */
  readonly workerPids: number[]
}

/** Rooms that WebRTC peers can join. Rejects when the workers cannot be started; the `direct` plane is what is left then. */
export async function createMediasoupPlane(options: MediasoupOptions): Promise<MediasoupPlane> {
  const { time = monotonicClock, onFault = () => {}, codecs = ['opus', 'pcmu', 'pcma'], opus, maxMessagesPerSecond = 500 } = options
  const pool = await WorkerPool.start({ workerBin: options.workerBin, count: options.workers ?? 1, listen: options.listen, onFault })
  const rooms = new RoomList(options, async (join) => connect(await pool.take(), join, { codecs, opus, maxMessagesPerSecond, time, onFault }))
  return {
    driver: 'mediasoup',
    get workerPids() {
      return pool.pids
    },
    openRoom: async (id) => rooms.open(id),
    async close() {
      rooms.close()
      pool.close()
    },
  }
}
