import { z } from 'zod'
import { SHOP_ORIGIN } from './shop.ts'
import type { Town } from './town.ts'

const Session = z.object({ session_token: z.string(), visitor_id: z.string() })
const Frame = z.looseObject({ type: z.string(), message: z.looseObject({ author: z.string(), content: z.looseObject({ text: z.string().optional() }) }).optional() })

const WAIT_MS = 20_000

/** A visitor of the shop's page writes once over the socket that the widget uses. Answers with the agent's first words. */
export async function visitorAsks(town: Town, text: string): Promise<string> {
  const base = `${town.apiUrl}/v1/webchat/${town.webchat.id}`
  const opened = await fetch(`${base}/sessions`, { method: 'POST', headers: { 'content-type': 'application/json', origin: SHOP_ORIGIN }, body: '{}', signal: AbortSignal.timeout(WAIT_MS) })
  if (!opened.ok) throw new Error(`The web chat refused a session: ${opened.status} ${await opened.text()}`)
  const { session_token: token } = Session.parse(await opened.json())
  const socket = new WebSocket(`${base.replace('http', 'ws')}/socket`, { headers: { origin: SHOP_ORIGIN } })
  const answer = Promise.withResolvers<string>()
  const timer = setTimeout(() => answer.reject(new Error('The web chat did not answer.')), WAIT_MS)
  socket.addEventListener('open', () => socket.send(JSON.stringify({ type: 'hello', token })))
  socket.addEventListener('close', ({ code }) => answer.reject(new Error(`The web chat closed with ${code}.`)))
  socket.addEventListener('message', ({ data }) => {
    const frame = Frame.parse(JSON.parse(String(data)))
    if (frame.type === 'ready') socket.send(JSON.stringify({ type: 'message', client_message_id: 'c_1', text }))
    if (frame.type === 'message' && frame.message?.author === 'agent') answer.resolve(frame.message.content.text ?? '')
  })
  return answer.promise.finally(() => {
    clearTimeout(timer)
    socket.close()
  })
}
