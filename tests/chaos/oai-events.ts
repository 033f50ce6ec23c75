import { CLIENT_SAMPLES } from '../../channels/testing/realtime/messages.ts'
import { Caller, findWorker } from '../../media/src/plane/webrtc/testing.ts'
import type { Json } from '../flow/business.ts'
import { realtimeTalk } from './bystanders.ts'
import { mutantOf } from './mutants.ts'
import type { Scenario } from './scenario.ts'
import { FENCE, judgeRealtime, play } from './sockets.ts'

const worker = findWorker()
/** Null: calls over WebRTC can be made here. Otherwise why not. */
export const noCalls: string | null = worker.reason

/** So many at once: a data channel keeps what it cannot send yet in memory, and tells nobody that it is full. */
const AT_ONCE = 100
/** With its fences less than a call may send in a second: more is a flood, and ends it. */
const PER_CALL = 400
const FENCE_MS = 60_000

/** One call's data channel, and what came over it. */
async function ring(voiceUrl: string, key: string) {
  const caller = await Caller.create('opus')
  const channel = caller.openChannel('oai-events')
  const events: Json[] = []
  let look = () => {}
  channel.onMessage.subscribe((data) => {
    events.push(JSON.parse(data.toString()))
    look()
  })
  const until = (isThere: () => boolean) =>
    new Promise<boolean>((resolve) => {
      const timer = setTimeout(() => resolve(false), FENCE_MS)
      look = () => {
        if (!isThere()) return
        clearTimeout(timer)
        resolve(true)
      }
      look()
    })
  const answer = await fetch(`${voiceUrl}/v1/realtime/calls`, { method: 'POST', headers: { authorization: `Bearer ${key}`, 'content-type': 'application/sdp' }, body: await caller.offer() })
  if (answer.status !== 201) throw new Error(`a call answered ${answer.status}: ${await answer.text()}`)
  await caller.accept(await answer.text())
  if (!(await until(() => events.some(({ type }) => type === 'session.created')))) throw new Error('a call never said that its session is there')
  return { events, until, send: (text: string) => channel.send(text), close: () => caller.close() }
}

/** The same mutants as over a socket, over the data channels of calls: real ICE, DTLS and SCTP with a peer of another make. */
export const mutateOaiEvents: Scenario = (ground, size, seed) =>
  play(ground, size, seed, {}, async ({ fleet, business, other, broken }) => {
    const victim = await fleet.startVoice({ MEDIASOUP_WORKER_BIN: worker.path! })
    return {
      victim,
      bystander: await realtimeTalk(fleet.voiceUrl, other.key, broken),
      perSocket: PER_CALL,
      async abuse(chance, count) {
        const call = await ring(fleet.voiceUrl, business.key)
        const sent: string[] = []
        try {
          for (let nth = 1; sent.length < count; nth++) {
            for (let left = Math.min(AT_ONCE, count - sent.length); left > 0; left--) {
              // An empty message of SCTP is no message.
              const text = mutantOf(chance.pick(CLIENT_SAMPLES), chance) || ' '
              sent.push(text)
              call.send(text)
            }
            call.send(JSON.stringify(FENCE))
            if (!(await call.until(() => call.events.filter(({ error }) => error?.event_id === FENCE.event_id).length >= nth))) return [`silence after ${sent.length} messages`]
          }
          return judgeRealtime(sent, call.events)
        } finally {
          await call.close()
        }
      },
    }
  })
