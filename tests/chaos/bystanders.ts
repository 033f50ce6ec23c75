import { setTimeout as delay } from 'node:timers/promises'
import { WebSocket } from 'ws'
import type { Business, Json } from '../flow/business.ts'
import { ORIGIN, OPEN_CHAT } from '../flow/visitor.ts'
import { FrameClient } from '../harness/frames.ts'
import type { Fleet } from './fleet.ts'

/** Somebody in good order, beside those who are not. What is not as it should be goes into `broken`. */
export type Bystander = {
  /** Something is asked, and answered. */
  once(): Promise<void>
  /** The same again and again, until `end`, which answers how often. */
  begin(): { end(): Promise<number> }
  close(): Promise<void>
}

function bystander(broken: string[], once: () => Promise<void>, close: () => Promise<void>): Bystander {
  const guarded = () => once().catch((error: unknown) => void broken.push(`somebody beside it: ${error instanceof Error ? error.message : String(error)}`))
  return {
    once: guarded,
    begin() {
      let served = 0
      const over = new AbortController()
      const working = (async () => {
        while (!over.signal.aborted && broken.length === 0) {
          await guarded()
          served += 1
        }
      })()
      return {
        async end() {
          over.abort()
          await working
          return served
        },
      }
    },
    close,
  }
}

const ANSWER_MS = 30_000

/** Asks in one Realtime session, and is answered what its instructions say. */
export async function realtimeTalk(voiceUrl: string, key: string, broken: string[]): Promise<Bystander> {
  const client = new FrameClient<Json>(new WebSocket(`${voiceUrl.replace('http', 'ws')}/v1/realtime?model=gpt-realtime`, { headers: { authorization: `Bearer ${key}` } }))
  await client.frame('session.created')
  client.send({ type: 'session.update', session: { type: 'realtime', output_modalities: ['text'], instructions: 'You work for the harbour shop. It opens at nine.' } })
  await client.frame('session.updated')
  const once = async () => {
    const from = client.frames.length
    client.send({ type: 'response.create', response: { conversation: 'none', input: [{ type: 'message', role: 'user', content: [{ type: 'input_text', text: 'When do you open?' }] }] } })
    const own = () => client.frames.slice(from)
    await client.until(() => own().some(({ type }) => type === 'response.done' || type === 'error'), ANSWER_MS)
    const { response } = own().find(({ type }) => type === 'response.done') ?? {}
    const text: string = response?.output?.[0]?.content?.[0]?.text ?? ''
    if (response?.status !== 'completed' || !/nine/.test(text)) throw new Error(`heard ${JSON.stringify(own()).slice(0, 800)}`)
    const whole = own().filter(({ type }) => type === 'response.output_text.delta').map(({ delta }) => delta).join('')
    if (whole !== text) throw new Error(`heard ${JSON.stringify(whole)} word by word, and ${JSON.stringify(text)} in the end`)
  }
  return bystander(broken, once, () => client.end())
}

/** Takes a conversation over and gives it back, and hears of each of it once, in order. */
export async function eventListener({ apiUrl }: Fleet, business: Business, broken: string[]): Promise<Bystander> {
  const chat = await openChat(apiUrl, business)
  const visitor = await chat.another()
  const first = await say(visitor, 'hello_1', 'When do you open?')
  await first.end()
  const conversation = (await business.ok('GET', `/v1/conversations?number_id=${chat.numberId}`)).data[0]
  const client = new FrameClient<Json>(new WebSocket(`${apiUrl.replace('http', 'ws')}/v1/events?types=conversation.*`, { headers: { authorization: `Bearer ${business.key}` } }))
  await client.frame('ready')
  let nth = 0
  const changes = () => client.frames.filter(({ type }) => type === 'conversation.handler_changed')
  const once = async () => {
    for (const [verb, handler] of [['take-over', 'human'], ['hand-back', 'agent']] as const) {
      await business.ok('POST', `/v1/conversations/${conversation.id}/${verb}`, {})
      nth += 1
      await client.until(() => changes().length >= nth, ANSWER_MS)
      if (changes().length !== nth || changes().at(-1).data.handler !== handler) throw new Error(`heard ${JSON.stringify(changes().slice(-3))} after ${verb}`)
    }
    if (client.frames.some(({ type }) => type === 'error' || type === 'events.gap')) throw new Error('heard of an error, or of a gap')
  }
  return bystander(broken, once, () => client.end())
}

export type ChatVisitor = { socketUrl: string; origin: string; token: string }

async function openChat(apiUrl: string, business: Business) {
  const { id: numberId } = await business.number({ type: 'webchat', number: OPEN_CHAT })
  async function another(): Promise<ChatVisitor> {
    const answer = await fetch(`${apiUrl}/v1/webchat/${numberId}/sessions`, { method: 'POST', headers: { origin: ORIGIN, 'content-type': 'application/json' }, body: '{}' })
    const body = (await answer.json()) as Json
    if (answer.status !== 201) throw new Error(`a session answered ${answer.status}: ${JSON.stringify(body)}`)
    return { socketUrl: `${apiUrl.replace('http', 'ws')}/v1/webchat/${numberId}/socket`, origin: ORIGIN, token: body.session_token }
  }
  return { numberId, another }
}

/** A visitor's socket on which something has been said, acknowledged and answered. */
async function say({ socketUrl, origin, token }: ChatVisitor, id: string, text: string): Promise<FrameClient<Json>> {
  const client = new FrameClient<Json>(new WebSocket(socketUrl, { headers: { origin } }))
  await new Promise((resolve, reject) => client.socket.once('open', resolve).once('error', reject))
  client.send({ type: 'hello', token })
  await client.frame('ready')
  await ask(client, id, text)
  return client
}

async function ask(client: FrameClient<Json>, id: string, text: string): Promise<void> {
  const answers = () => client.frames.filter(({ type, message }) => type === 'message' && message.author === 'agent').length
  const before = answers()
  client.send({ type: 'message', client_message_id: id, text })
  await client.until((frames) => frames.some(({ type, client_message_id }) => type === 'ack' && client_message_id === id), ANSWER_MS)
  const ack = client.frames.find(({ type, client_message_id }) => type === 'ack' && client_message_id === id)
  if (ack.error !== undefined) throw new Error(`was refused: ${JSON.stringify(ack.error)}`)
  await client.until(() => answers() > before, ANSWER_MS)
  if (answers() !== before + 1) throw new Error('was answered more than once')
}

/** A visitor may say so much in a minute. */
const BREATH_MS = 2_500

/** Asks in one chat, and is answered once each time. `another`: visitors of the same chat. */
export async function webVisitor({ apiUrl }: Fleet, business: Business, broken: string[]): Promise<Bystander & { another(): Promise<ChatVisitor> }> {
  const chat = await openChat(apiUrl, business)
  let nth = 0
  const client = await say(await chat.another(), 'q_0', 'When do you open?')
  const once = async () => {
    await delay(BREATH_MS)
    await ask(client, `q_${++nth}`, `When do you open? (${nth})`)
  }
  return { ...bystander(broken, once, () => client.end()), another: chat.another }
}
