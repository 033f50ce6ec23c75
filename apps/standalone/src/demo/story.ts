import { z } from 'zod'
import { ADA, BRUNO, CARLA } from './shop.ts'
import { eventually, nextAnswer, type Town } from './town.ts'
import { visitorAsks } from './visitor.ts'

/** A scene says what happens and does it; it throws when the outcome is not the promised one. */
export type Scene = { title: string; play(town: Town): Promise<string> }

const Messages = z.object({ data: z.array(z.object({ id: z.string(), status: z.string(), conversation_id: z.string(), author: z.string(), direction: z.string(), turn_id: z.string().nullable() })) })
const Conversations = z.object({ data: z.array(z.object({ id: z.string(), handler: z.string(), contact_name: z.string().nullable() })) })
const Leads = z.object({ data: z.array(z.object({ id: z.string(), email: z.string().nullable() }).loose()) })

const ada = (town: Town, text: string) => town.sandbox.whatsapp.customerWrites(ADA.waId, { phone_number_id: town.whatsapp.address, name: ADA.name, text })
const bruno = (town: Town, text: string) => town.sandbox.whatsapp.customerWrites(BRUNO.waId, { phone_number_id: town.whatsapp.address, name: BRUNO.name, text })
const sendsTo = (town: Town, to: string) => town.sandbox.journal.sends({ to }).filter((entry) => entry.outcome === 'accepted').length

function insist(holds: boolean, what: string): void {
  if (!holds) throw new Error(`The story went wrong: ${what}`)
}

export const STORY: Scene[] = [
  {
    title: 'Ada sends three WhatsApp bubbles in a row',
    async play(town) {
      const { lastSeq } = town.sandbox.journal
      await Promise.all([ada(town, 'Hello!'), ada(town, 'Do you repair e-bikes?'), ada(town, 'And what does a diagnosis cost?')])
      await nextAnswer(town, ADA.waId, lastSeq)
      insist(sendsTo(town, ADA.waId) === 1, 'three bubbles deserve one answer')
      return 'one answer, not three'
    },
  },
  {
    title: 'Bruno writes, and Meta delivers his webhook six times at once',
    async play(town) {
      town.sandbox.faults.add({ target: 'webhook.out', action: { copies: 5 }, times: 1 })
      const { lastSeq } = town.sandbox.journal
      await bruno(town, 'Bonjour! Where do I find you?')
      await nextAnswer(town, BRUNO.waId, lastSeq)
      insist(sendsTo(town, BRUNO.waId) === 1, 'a repeat must not be answered')
      return 'stored once, answered once'
    },
  },
  {
    title: 'Carla asks on Instagram',
    async play(town) {
      const { lastSeq } = town.sandbox.journal
      const { delivery } = await town.sandbox.instagram.customerWrites(CARLA.igsid, { ig_id: town.instagram.address, name: CARLA.name, text: 'Hi, what does a cargo bike cost per day?' })
      insist(delivery.status === 200, `the webhook was answered with ${delivery.status}`)
      const answer = await nextAnswer(town, CARLA.igsid, lastSeq)
      insist(answer.text?.includes('39') === true, 'the answer must come from the prompt')
      return 'answered from the same prompt'
    },
  },
  {
    title: 'A visitor of the shop’s page opens the web chat',
    async play(town) {
      const words = await visitorAsks(town, 'When are you open?')
      insist(words.includes('9:00'), 'the answer must come from the prompt')
      return 'answered over the socket, from the same prompt'
    },
  },
  {
    title: 'OpenAI goes down in the middle of the day',
    async play(town) {
      const fault = town.sandbox.faults.add({ target: 'openai.*', action: { status: 500 }, times: 20 })
      const { lastSeq } = town.sandbox.journal
      const startMs = performance.now()
      await ada(town, 'My name is Ada Berger, my e-mail is ada@berger.example')
      await nextAnswer(town, ADA.waId, lastSeq)
      town.sandbox.faults.remove(fault.id)
      return `Anthropic answered instead, ${((performance.now() - startMs) / 1_000).toFixed(1)} s after her message`
    },
  },
  {
    title: 'A send is accepted by Meta, but its answer never arrives',
    async play(town) {
      town.sandbox.faults.add({ target: 'whatsapp.send', action: { acceptThenReset: true }, times: 1 })
      const { lastSeq } = town.sandbox.journal
      await bruno(town, 'Do you have city bikes for rent?')
      await nextAnswer(town, BRUNO.waId, lastSeq)
      await eventually('the unknown outcome is reconciled by its delivery receipt', async () => {
        const { data } = Messages.parse(await town.api.get(`/v1/messages?number_id=${town.whatsapp.id}&direction=outbound&limit=20`))
        return data.every((message) => ['sent', 'delivered', 'read'].includes(message.status)) ? true : null
      })
      return 'outcome unknown, then settled by the delivery receipt; never sent twice'
    },
  },
  {
    title: 'Bruno asks for a person; a colleague takes over',
    async play(town) {
      const { lastSeq } = town.sandbox.journal
      await bruno(town, 'I want to talk to a human please')
      await nextAnswer(town, BRUNO.waId, lastSeq)
      const conversation = await eventually('the conversation is with a person', async () => {
        const { data } = Conversations.parse(await town.api.get('/v1/conversations?handler=human'))
        return data.find((each) => each.contact_name === BRUNO.name) ?? null
      })
      const position = town.sandbox.journal.lastSeq
      await town.api.post(`/v1/conversations/${conversation.id}/messages`, { content: { kind: 'text', text: 'Hello Bruno, this is Mia from the workshop. I keep a city bike for you until noon.' } })
      const words = await nextAnswer(town, BRUNO.waId, position)
      insist(words.text?.startsWith('Hello Bruno, this is Mia') === true, 'the colleague’s words must arrive as written')
      return 'the agent is silent from here on'
    },
  },
  {
    title: 'The conversation with Ada falls silent: a lead is extracted',
    async play(town) {
      const lead = await eventually('the lead of Ada', async () => {
        const { data } = Leads.parse(await town.api.get('/v1/leads'))
        return data.find((each) => each.email === 'ada@berger.example') ?? null
      })
      return `lead ${lead.id.slice(0, 8)} with name, e-mail and the messages that prove them`
    },
  },
]
