import { createMediasoupPlane, FRAME_MS, type DirectLeg, type MediasoupPlane, type WebRtcLeg } from '@trunkline/media'
import { tone } from '../../media/src/plane/webrtc/testing.ts'
import { serveJobs } from '../stage/actor.ts'

/** The plane as a voice process has it: a room for each call, the caller by WebRTC, the agent by function calls. */
export type HostJob =
  | { do: 'open'; workerBin: string }
  /** A room with one caller; answers the SDP. */
  | { do: 'join'; offerSdp: string }
  /** Every agent speaks from now on. */
  | { do: 'speak' }
  /** Frames of callers that came here, and frames that agents said, since the last time. */
  | { do: 'count' }

export type HostCount = { heard: number; said: number }

const AGENT_HZ = 8_000
let plane: MediasoupPlane | null = null
const agents: DirectLeg[] = []
let heard = 0
let said = 0

async function join(offerSdp: string): Promise<string> {
  const room = await plane!.openRoom(`call-${agents.length}`)
  let answer = ''
  const caller: WebRtcLeg = await room.join('caller', { kind: 'webrtc', offerSdp, onAnswer: (sdp) => (answer = sdp) })
  caller.onFrame(() => heard++)
  const agent = await room.join('agent', { kind: 'direct', sampleRateHz: AGENT_HZ })
  agent.wire.onHear(() => {})
  agents.push(agent)
  return answer
}

function speak(): void {
  const next = tone(440, AGENT_HZ)
  const startMs = performance.now()
  let frames = 0
  setInterval(() => {
    for (; frames * FRAME_MS <= performance.now() - startMs; frames++) {
      const pcm = next()
      for (const agent of agents) agent.wire.say(pcm)
      said += agents.length
    }
  }, FRAME_MS)
}

serveJobs<HostJob>(async (job): Promise<number | string | HostCount | null> => {
  switch (job.do) {
    case 'open':
      plane = await createMediasoupPlane({ workerBin: job.workerBin, workers: 1, listen: { ip: '127.0.0.1' } })
      return plane.workerPids[0]!
    case 'join': return join(job.offerSdp)
    case 'speak':
      speak()
      return null
    case 'count': {
      const counted = { heard, said }
      heard = said = 0
      return counted
    }
  }
})
