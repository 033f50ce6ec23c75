import { AppError, type Logger } from '@trunkline/core'
import { createMediasoupPlane, type MediaPlane } from '@trunkline/media'
import type { VoiceEnv } from './env.ts'

type PlaneEnv = Pick<VoiceEnv, 'MEDIASOUP_WORKER_BIN' | 'WEBRTC_WORKERS' | 'WEBRTC_LISTEN_IP' | 'WEBRTC_ANNOUNCED_ADDRESS' | 'WEBRTC_PORTS'>

export type PlaneDoor = {
  /** Rejects with AppError `unavailable` where there is no media worker. */
  open: () => Promise<MediaPlane>
  close: () => Promise<void>
}

/** The media workers start with the first call: most installations have none. */
export function createPlaneDoor({ MEDIASOUP_WORKER_BIN: workerBin, WEBRTC_WORKERS: workers, WEBRTC_LISTEN_IP: ip, WEBRTC_ANNOUNCED_ADDRESS: announcedAddress, WEBRTC_PORTS: portRange }: PlaneEnv, log: Logger): PlaneDoor {
  let opening: Promise<MediaPlane> | null = null
  return {
    open: async (): Promise<MediaPlane> => {
      if (workerBin === undefined) throw new AppError('unavailable', { message: 'This installation serves no WebRTC: MEDIASOUP_WORKER_BIN is not set (`node scripts/mediasoup-worker.mjs` makes it).' })
      const listen = { ip, ...(announcedAddress === undefined ? {} : { announcedAddress }), ...(portRange === undefined ? {} : { portRange }) }
      opening ??= createMediasoupPlane({ workerBin, workers, listen, onFault: (error) => log.error({ error }, 'media plane') })
      return opening.catch((error: unknown) => {
        opening = null
        throw new AppError('unavailable', { message: 'The media worker does not start.', cause: error })
      })
    },
    close: async (): Promise<void> => {
      await opening?.then((plane) => plane.close(), () => {})
    },
  }
}
