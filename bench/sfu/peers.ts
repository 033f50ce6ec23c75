import { Caller } from '../../media/src/plane/webrtc/testing.ts'
import { serveJobs } from '../stage/actor.ts'

/** The callers' browsers, of another make (werift): real ICE, DTLS and SRTP. */
export type PeersJob =
  | { do: 'offer' }
  /** Of the peer that offered last. */
  | { do: 'accept'; answerSdp: string }
  | { do: 'speak' }
  /** Packets that came to all of them since the last time. */
  | { do: 'count' }
  | { do: 'close' }

const callers: Caller[] = []
let heard = 0

async function offer(): Promise<string> {
  const caller = await Caller.create('pcmu')
  caller.onHeard = () => heard++
  callers.push(caller)
  return caller.offer()
}

async function accept(answerSdp: string): Promise<void> {
  const { pc } = callers.at(-1)!
  const connected = new Promise<void>((resolve) => pc.connectionStateChange.subscribe((state) => state === 'connected' && resolve()))
  await callers.at(-1)!.accept(answerSdp)
  if (pc.connectionState !== 'connected') await connected
}

serveJobs<PeersJob>(async (job): Promise<string | number | void> => {
  switch (job.do) {
    case 'offer': return offer()
    case 'accept': return accept(job.answerSdp)
    case 'speak': return callers.forEach((caller) => caller.speak(880))
    case 'count': {
      const counted = heard
      heard = 0
      return counted
    }
    case 'close': return void (await Promise.all(callers.map((caller) => caller.close())))
  }
})
