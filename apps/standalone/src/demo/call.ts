import { z } from 'zod'
import { callerAt, type Caller } from './caller.ts'
import { EMMA } from './shop.ts'
import type { Scene } from './story.ts'
import { eventually } from './town.ts'

const Leads = z.object({ data: z.array(z.looseObject({ id: z.string(), name: z.string().nullable(), phone: z.string().nullable() })) })

/** Somebody rings the shop: one telephone call in scenes. Every word of it is sound, on both sides. */
export function callScenes(): Scene[] {
  let emma: Caller
  return [
    {
      title: 'Emma rings the shop',
      async play({ sandbox, telephone }) {
        const startMs = performance.now()
        emma = callerAt(sandbox.carriers.twilio.ring({ from: EMMA.phone, to: telephone.address, says: [] }))
        await emma.phone.waitFor('media.first')
        const greetedMs = performance.now() - startMs
        await emma.hears(/recorded.*Harbour Bikes.*help/s)
        return `greeted ${Math.round(greetedMs)} ms after she dialled, and told that the call is recorded`
      },
    },
    {
      title: 'She asks, and cuts the long answer short',
      async play() {
        emma.says('What does it cost to rent a bike?')
        await emma.hears(/18 euros/)
        emma.interrupts('Fine. And where do I find you?')
        const [spoke, silent] = [emma.phone.moments().findLast(({ kind }) => kind === 'person.says')!, await emma.phone.waitFor('media.clear')]
        await emma.hears(/Pier 4.*name, please/s)
        return `the agent fell silent ${Math.round(silent.atMs - spoke.atMs)} ms after her first sound, and answered that`
      },
    },
    {
      title: 'She leaves her name and number',
      async play() {
        emma.says(`My name is ${EMMA.name} and my number is ${EMMA.phone}`)
        await emma.hears(/noted.*reach you\?/s)
        return 'understood, noted and repeated'
      },
    },
    {
      title: 'She says goodbye and hangs up: the lead of the call',
      async play(town) {
        emma.says('No, thank you. Goodbye!')
        await emma.hears(/lovely day!/)
        await emma.hangsUp()
        const lead = await eventually('the lead of the call', async () => {
          const { data } = Leads.parse(await town.api.get('/v1/leads'))
          return data.find(({ name, phone }) => name === EMMA.name && phone?.replaceAll(/\D/g, '') === EMMA.phone.slice(1)) ?? null
        })
        return `lead ${lead.id.slice(0, 8)} with name and telephone number, out of what was said`
      },
    },
  ]
}
