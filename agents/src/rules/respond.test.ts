import { OpeningHours, RuleBook } from '@trunkline/core'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { HistoryItem } from '../history.ts'
import type { Effect } from '../tools/built-in.ts'
import { describeHours, openState } from './hours.ts'
import { LANGUAGES, PHRASES } from './phrases.ts'
import type { Language, LeadQuestion } from './phrases.ts'
import { respondByRules } from './respond.ts'

const FRIDAY_10 = Date.UTC(2026, 10, 20, 9)
const WEEK = { mon: [['09:00', '17:00']], tue: [['09:00', '17:00']], wed: [['09:00', '17:00']], thu: [['09:00', '17:00']], fri: [['09:00', '12:00'], ['13:00', '17:00']], sat: [], sun: [] }
const HOURS = { timeZone: 'Europe/Berlin', days: WEEK }

/** Plays a dialogue: what the customer writes, what the rules say, state from the history alone. */
function play(lines: string[], options: { rules?: Record<string, unknown>; known?: Partial<Record<LeadQuestion, string>>; nowMs?: number; standIn?: boolean } = {}) {
  const rules = RuleBook.parse(options.rules ?? {})
  const history: HistoryItem[] = []
  const replies: string[] = []
  const effects: Effect[] = []
  for (const [index, text] of lines.entries()) {
    const incoming: HistoryItem = { messageId: `c${index}`, role: 'customer', text, atMs: FRIDAY_10 }
    const reply = respondByRules({ rules, history, incoming: [incoming], known: options.known ?? {}, nowMs: options.nowMs ?? FRIDAY_10, standIn: options.standIn ?? false })
    history.push(incoming, { messageId: `a${index}`, role: 'agent', text: reply.text, atMs: FRIDAY_10 })
    replies.push(reply.text)
    effects.push(...reply.effects)
  }
  const captured = Object.fromEntries(effects.flatMap((effect) => (effect.type === 'lead_field' ? [[effect.field, effect.value]] : [])))
  return { replies, effects, captured, handedOver: effects.filter((effect) => effect.type === 'handover').length }
}

describe('whole dialogues', () => {
  const dialogues: Record<Language, [string, string, string, string, string]> = {
    en: ['Hello', 'Jane Miller', 'jane@mail.example', 'you can call +1 415 555 0132', 'I would like to book a table for Friday'],
    de: ['Guten Tag', 'Petra Schulz', 'petra@mail.example', '+49 30 1234567', 'Ich möchte einen Tisch für Freitag reservieren'],
    es: ['Hola, buenos días', 'María García', 'maria@mail.example', '+34 612 34 56 78', 'Quiero reservar una mesa para el viernes'],
    fr: ['Bonjour', 'Amélie Dupont', 'amelie@mail.example', '+33 6 12 34 56 78', 'Je voudrais réserver une table pour vendredi'],
    it: ['Buongiorno', 'Luca Rossi', 'luca@mail.example', '+39 347 1234567', 'Vorrei prenotare un tavolo per venerdì'],
    pt: ['Olá, bom dia', 'João da Silva', 'joao@mail.example', '+351 912 345 678', 'Gostaria de reservar uma mesa para sexta'],
  }
  for (const language of LANGUAGES) {
    it(`in ${language}: greets, asks name, e-mail, phone and wish in order, then hands over`, () => {
      const [hello, name, email, phone, wish] = dialogues[language]
      const { replies, captured, handedOver } = play([hello, name, email, phone, wish])
      const { ask, handover } = PHRASES[language]
      expect(replies[0]).toContain(ask.name)
      expect(replies[1]).toBe(`${PHRASES[language].thanksName(name)}\n\n${ask.email}`)
      expect(replies[2]).toContain(ask.phone)
      expect(replies[3]).toContain(ask.intent)
      expect(replies[4]).toContain(handover)
      expect(captured).toEqual({ name, email, phone: phone.slice(phone.indexOf('+')).replace(/ /g, ''), intent: wish })
      expect(handedOver).toBe(1)
    })
  }

  it('understands everything said at once and asks for nothing', () => {
    const { replies, captured, handedOver } = play(["Hi, I'm Jane Miller (jane@mail.example, +1 415 555 0132) and I need a quote for 20 chairs"])
    expect(captured).toMatchObject({ name: 'Jane Miller', email: 'jane@mail.example', phone: '+14155550132' })
    expect(captured.intent).toContain('20 chairs')
    expect(replies[0]).not.toMatch(/May I have|Which/)
    expect(handedOver).toBe(1)
  })

  it('does not ask for what was said unprompted, or is known', () => {
    const { replies } = play(['Hello, I need a new chair please, my mail is jane@mail.example'], { known: { name: 'Jane' } })
    expect(replies[0]).toContain(PHRASES.en.ask.phone)
    expect(replies[0]).not.toContain(PHRASES.en.ask.name)
    expect(replies[0]).not.toContain(PHRASES.en.ask.email)
  })

  it('asks each question once: who does not answer is not pressed', () => {
    const { replies } = play(['hello', 'no thanks', 'rather not', 'no', 'no', 'no'])
    for (const question of Object.values(PHRASES.en.ask)) expect(replies.filter((reply) => reply.includes(question)).length, question).toBeLessThanOrEqual(1)
    expect(replies[4]).toContain(PHRASES.en.handover)
  })

  it('does not ask again what a model asked before it went away', () => {
    const rules = RuleBook.parse({})
    const history: HistoryItem[] = [
      { messageId: '1', role: 'customer', text: 'Hello, I want to book a room', atMs: 0 },
      { messageId: '2', role: 'agent', text: 'With pleasure! Could you tell me your name and your e-mail address?', atMs: 0 },
    ]
    const reply = respondByRules({ rules, history, incoming: [{ messageId: '3', role: 'customer', text: 'Jane Miller, jane@mail.example', atMs: 0 }], known: {}, nowMs: FRIDAY_10, standIn: true })
    expect(reply.text).toContain(PHRASES.en.ask.phone)
    expect(reply.effects).toMatchObject([{ field: 'email' }, { field: 'name', value: 'Jane Miller' }])
  })

  it('hands over at once when a person is wanted', () => {
    const { replies, effects } = play(['I want to talk to a human'], { rules: { openingHours: HOURS }, nowMs: Date.UTC(2026, 10, 21, 9) })
    expect(effects).toMatchObject([{ type: 'handover', reason: 'The customer asks for a person.' }])
    expect(replies[0]).toContain(PHRASES.en.handover)
    expect(replies[0]).toContain('We are open again on Monday at 09:00.')
  })

  it('promises a colleague but does not hand over while it only stands in for a model', () => {
    const { replies, handedOver } = play(['Hello, I need a chair, I am Jane Miller, jane@mail.example, +14155550132'], { standIn: true })
    expect(replies[0]).toContain(PHRASES.en.handover)
    expect(handedOver).toBe(0)
  })

  it('closes politely, once', () => {
    const { replies, effects } = play(["Hello, I'm Jane Miller, jane@mail.example, +14155550132, I need a chair", 'one more thing: it must be blue', 'thanks', 'bye'])
    expect(replies[1]).toBe(PHRASES.en.noted)
    expect(replies[2]).toBe(PHRASES.en.goodbye)
    expect(replies[3]).toBe(PHRASES.en.goodbye)
    expect(effects.filter((effect) => effect.type === 'end_conversation')).toHaveLength(1)
  })
})

describe('answers', () => {
  const answers = [
    { keywords: ['price', 'cost', 'how much'], text: 'A chair is 40 euros.' },
    { keywords: ['Parkplätze', 'parking'], text: 'You can park behind the house.' },
  ]
  it('come from the rule book, and the next question follows', () => {
    const { replies } = play(['How much does a chair cost?'], { rules: { answers } })
    expect(replies[0]).toContain('A chair is 40 euros.')
    expect(replies[0]).toContain(PHRASES.en.ask.name)
  })

  it('match whole words, without accents and case', () => {
    expect(play(['HABEN SIE PARKPLATZE?'], { rules: { answers } }).replies[0]).toContain('behind the house')
    expect(play(['this is priceless, I love it'], { rules: { answers } }).replies[0]).not.toContain('40 euros')
  })

  it('is the whole answer when nothing is left to ask: nobody is called for a question that is answered', () => {
    const { replies, handedOver } = play(['How much is a chair?', 'and do you deliver to the moon?'], { rules: { answers, collect: [], businessName: 'Rosa' } })
    expect(replies[0]).toBe('Hello, this is Rosa.\n\nA chair is 40 euros.')
    expect(replies[1]).toContain(PHRASES.en.handover)
    expect(handedOver).toBe(1)
  })

  it('to a mere hello is a greeting when there is nothing to ask', () => {
    expect(play(['hello'], { rules: { collect: [] } })).toMatchObject({ replies: [PHRASES.en.greeting], handedOver: 0 })
  })

  it('passes on what it cannot answer', () => {
    expect(play(['Do you also repair old tables?']).replies[0]).toContain(PHRASES.en.passOn)
  })

  it('tells the opening hours and whether it is open, in the zone of the business', () => {
    const { replies } = play(['Wann habt ihr geöffnet?'], { rules: { openingHours: HOURS } })
    expect(replies[0]).toContain('Mo–Do 09:00–17:00')
    expect(replies[0]).toContain(PHRASES.de.openNow)
    const closed = play(['are you open today?'], { rules: { openingHours: HOURS }, nowMs: Date.UTC(2026, 10, 20, 16, 30) })
    expect(closed.replies[0]).toContain('We are open again on Monday at 09:00.')
  })

  it('a question for the hours is not taken for the wish of the customer', () => {
    const { captured } = play(['When are you open?', 'Jane Miller', 'no', 'no', 'a check-up please'], { rules: { openingHours: HOURS } })
    expect(captured).toEqual({ name: 'Jane Miller', intent: 'a check-up please' })
  })

  it('says once that it is closed, in the words of the business if it has some', () => {
    const saturday = Date.UTC(2026, 10, 21, 9)
    const { replies } = play(['hello there', 'Jane'], { rules: { openingHours: HOURS, closedText: 'Weekend!' }, nowMs: saturday })
    expect(replies[0]).toContain('Weekend!')
    expect(replies[1]).not.toContain('Weekend!')
  })

  it('uses the greeting and the closing of the business as they are written', () => {
    const { replies } = play(['Hola', 'no'], { rules: { greeting: 'Welcome to Rosa!', collect: ['name'], handoverText: 'Rosa will call.' } })
    expect(replies[0]).toContain('Welcome to Rosa!')
    expect(replies[1]).toContain('Rosa will call.')
  })
})

describe('whatever is written', () => {
  it('there is an answer, no question comes twice, and nothing throws', () => {
    const line = fc.oneof(fc.string({ maxLength: 200 }), fc.string({ unit: 'grapheme', maxLength: 80 }), fc.constantFrom('hello', 'Jane', 'a@b.example', '+49 30 1234567', 'no', 'why?', 'danke', '', '???', 'human'))
    fc.assert(
      fc.property(fc.array(line, { minLength: 1, maxLength: 8 }), (lines) => {
        const { replies } = play(lines)
        expect(replies.every((reply) => reply.trim() !== '')).toBe(true)
        for (const field of ['name', 'email', 'phone', 'intent'] as const) expect(replies.filter((reply) => LANGUAGES.some((language) => reply.includes(PHRASES[language].ask[field]))).length).toBeLessThanOrEqual(1)
      }),
      { numRuns: 200 },
    )
  })

  it('a long line of trickery is read in time', () => {
    for (const text of ['a@'.repeat(30_000), '1 '.repeat(30_000), 'my name is '.repeat(5_000), 'when open '.repeat(6_000), '('.repeat(60_000), 'I am A '.repeat(9_000)]) {
      const started = process.cpuUsage()
      play([text.slice(0, 65_536)])
      expect(process.cpuUsage(started).user / 1_000).toBeLessThan(1_000)
    }
  })
})

describe('opening hours', () => {
  const at = (iso: string) => openState(OpeningHours.parse(HOURS), Date.parse(iso))
  it('follow the zone through daylight saving', () => {
    expect(at('2026-07-06T07:00:00Z').open).toBe(true)
    expect(at('2026-07-06T06:59:00Z')).toEqual({ open: false, next: { day: 'mon', time: '09:00' } })
    expect(at('2026-01-05T07:30:00Z').open).toBe(false)
    expect(at('2026-01-05T08:00:00Z').open).toBe(true)
  })
  it('know the lunch break and the weekend', () => {
    expect(at('2026-11-20T11:30:00Z')).toEqual({ open: false, next: { day: 'fri', time: '13:00' } })
    expect(at('2026-11-20T16:00:00Z')).toEqual({ open: false, next: { day: 'mon', time: '09:00' } })
  })
  it('go past midnight, also from Sunday to Monday', () => {
    const night = OpeningHours.parse({ timeZone: 'UTC', days: { ...WEEK, mon: [], sun: [['22:00', '02:00']] } })
    expect(openState(night, Date.parse('2026-11-22T23:00:00Z')).open).toBe(true)
    expect(openState(night, Date.parse('2026-11-23T01:59:00Z')).open).toBe(true)
    expect(openState(night, Date.parse('2026-11-23T02:00:00Z')).open).toBe(false)
  })
  it('have nothing to say when it is never open', () => {
    const never = { timeZone: 'UTC', days: { mon: [], tue: [], wed: [], thu: [], fri: [], sat: [], sun: [] } }
    expect(openState(never, FRIDAY_10)).toEqual({ open: false, next: null })
    expect(describeHours(never, 'en', 'closed')).toBe('Mon–Sun closed')
  })
})
