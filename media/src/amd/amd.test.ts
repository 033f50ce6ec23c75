import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { AmdEffect, AmdEvent, AmdSettings } from './contract.ts'
import { signIn } from './lexicon.ts'
import { nextAmdDueMs, openAmd, stepAmd } from './step.ts'

type Moment = { atMs: number; effect: AmdEffect }
type Unsent = AmdEvent extends infer One ? (One extends AmdEvent ? Omit<One, 'nowMs' | 'atMs'> : never) : never

/** A detector tells of things when it is sure of them. */
const TOLD_AFTER_MS: Record<Unsent['type'], number> = { speech_start: 60, speech_stop: 200, tone_start: 120, tone: 0, partial: 0, final: 0, timer: 0 }

const speech = (fromMs: number, toMs: number): [number, Unsent][] => [[fromMs, { type: 'speech_start' }], [toMs, { type: 'speech_stop' }]]
const words = (atMs: number, text: string): [number, Unsent] => [atMs, { type: 'final', text }]
const tone = (endMs: number, hz: number, durationMs: number): [number, Unsent][] => [[endMs - durationMs, { type: 'tone_start' }], [endMs, { type: 'tone', hz, durationMs }]]

/** Events at their times, timers when they are due, up to a minute and a half. */
function call(events: [number, Unsent][], settings: Partial<AmdSettings> = {}): Moment[] {
  let state = openAmd(settings, 0)
  const moments: Moment[] = []
  const take = (event: AmdEvent): void => {
    const next = stepAmd(state, event)
    state = next.state
    moments.push(...next.effects.map((effect) => ({ atMs: event.nowMs, effect })))
  }
  const timersUntil = (ms: number): void => {
    for (let dueMs = nextAmdDueMs(state); dueMs !== null && dueMs < ms; dueMs = nextAmdDueMs(state)) take({ type: 'timer', nowMs: dueMs })
  }
  const told = events.map(([atMs, event]) => ({ atMs, nowMs: atMs + TOLD_AFTER_MS[event.type], event })).toSorted((a, b) => a.nowMs - b.nowMs)
  for (const { atMs, nowMs, event } of told) {
    timersUntil(nowMs)
    take({ ...event, nowMs, atMs } as AmdEvent)
  }
  timersUntil(90_000)
  expect(nextAmdDueMs(state)).toBeNull()
  return moments
}

const seen = (moments: Moment[]): string[] => moments.map(({ atMs, effect }) => (effect.do === 'verdict' ? `${atMs} ${effect.verdict} ${effect.reason}${effect.revised ? ' revised' : ''}` : `${atMs} ended ${effect.by}${effect.takesMessages ? '' : ' full'}`))

describe('who has answered', () => {
  it('a person says hello and waits', () => {
    expect(seen(call([...speech(400, 1_100), words(1_500, 'Hello?')]))).toEqual(['1600 human short_greeting'])
  })

  it('a person with a long greeting that ends with a question', () => {
    expect(seen(call([...speech(300, 4_600), words(4_700, 'Praxis Doktor Müller, mein Name ist Sabine Schmidt, was kann ich für Sie tun?')], { language: 'de-DE' }))).toEqual(['5100 human short_greeting'])
  })

  it('a machine is known by its words before it has ended, and has ended with its beep', () => {
    const events = [...speech(500, 7_000), [3_200, { type: 'partial', text: "Hi, you've reached Anna. Please leave a message after" }] as [number, Unsent], words(7_100, "Hi, you've reached Anna. Please leave a message after the tone."), ...tone(8_600, 1_000, 400)]
    expect(seen(call(events, { language: 'en' }))).toEqual(['3200 machine words', '8600 ended beep'])
  })

  it('a machine without a beep: silence after a long greeting', () => {
    expect(seen(call(speech(500, 6_000)))).toEqual(['7500 machine long_greeting', '7500 ended silence'])
  })

  it('a beep that was announced is waited for longer than one that was not', () => {
    const announced = [...speech(0, 4_000), words(4_100, 'Leave a message after the tone.')]
    expect(seen(call(announced, { language: 'en' }))).toEqual(['4100 machine words', '8000 ended silence'])
  })

  it('a beep after the silence that seemed to be the end begins the message anew', () => {
    expect(seen(call([...speech(500, 6_000), ...tone(9_000, 800, 300)]))).toEqual(['7500 machine long_greeting', '7500 ended silence', '9000 ended beep'])
  })

  it('a short announcement is taken for a person until its words come', () => {
    expect(seen(call([...speech(300, 2_300), words(3_100, 'Voicemail.'), ...tone(3_900, 440, 500)]))).toEqual(['2800 human short_greeting', '3100 machine words revised', '3900 ended beep'])
  })

  it('a pause of a machine after "hi" is corrected by its beep, too', () => {
    expect(seen(call([...speech(300, 900), ...speech(1_900, 4_800), ...tone(5_400, 1_400, 200)]))).toEqual(['1400 human short_greeting', '5400 machine tone revised', '5400 ended beep'])
  })

  it('a full mailbox takes no message', () => {
    expect(seen(call([...speech(300, 4_000), words(4_100, 'The mailbox is full and cannot accept messages at this time. Goodbye.')], { language: 'en' }))).toEqual(['4100 machine words', '5500 ended silence full'])
  })

  it('a menu, and when it is our turn to press', () => {
    expect(seen(call([...speech(300, 6_000), words(6_050, 'Welcome to Acme. For sales, press one. For support, press two.')], { language: 'en' }))).toEqual(['6050 machine_ivr words', '7500 ended silence'])
  })

  it('a menu that turns out to be a mailbox', () => {
    const events = [...speech(300, 9_000), words(3_000, 'To page this person, press five.'), words(9_050, 'At the tone, please record your message.')]
    expect(seen(call(events, { language: 'en' })).slice(0, 2)).toEqual(['3000 machine_ivr words', '9050 machine words revised'])
  })

  it.each([
    ['Hi, if you record your name and reason for calling, I will see if this person is available.'],
    ["Hi, the person you're calling is using a screening service from Google. Go ahead and say your name and why you're calling."],
  ])('an assistant that screens: %s', (text) => {
    expect(seen(call([...speech(300, 6_000), words(6_100, text)], { language: 'en' }))).toEqual(['6100 screening words', '7500 ended silence'])
  })

  it('"who is calling" is asked by persons shortly, by assistants at length', () => {
    expect(seen(call([...speech(300, 1_900), words(2_300, "Yes, who's calling please?")]))).toEqual(['2400 human short_greeting'])
    expect(signIn("May I ask who's calling? I will pass it on and see.", 'en', true)).toBe('screening')
  })

  it('a facsimile machine', () => {
    expect(seen(call([...tone(1_500, 2_101, 450)]))).toEqual(['1500 fax tone'])
  })

  it('ringing that a detector by loudness takes for speech is none', () => {
    const ringing = [...speech(1_000, 2_000), ...tone(2_000, 425, 1_000), ...speech(6_000, 7_000), ...tone(7_000, 425, 1_000)]
    expect(seen(call(ringing))).toEqual(['10000 unknown no_speech'])
  })

  it('ringing that goes on is no beep', () => {
    expect(seen(call([...tone(1_000, 425, 1_000), ...tone(6_000, 425, 1_000), ...speech(8_000, 8_600)]))).toEqual(['9100 human short_greeting'])
  })

  it('nobody speaks, and somebody who speaks after all', () => {
    expect(seen(call([]))).toEqual(['10000 unknown no_speech'])
    expect(seen(call(speech(12_000, 12_700)))).toEqual(['10000 unknown no_speech', '13200 human short_greeting revised'])
  })

  it('one who speaks without end is a machine, and not waited for longer than a minute', () => {
    expect(seen(call([[500, { type: 'speech_start' }]]))).toEqual(['20000 machine long_greeting', '60000 ended time'])
  })
})

describe('what machines say', () => {
  it.each([
    ['de', 'machine', 'Der gewünschte Teilnehmer ist nicht erreichbar. Bitte hinterlassen Sie eine Nachricht nach dem Signalton.'],
    ['de', 'machine', 'Sie können nach dem Ton eine Nachricht hinterlassen.'],
    ['de', 'machine_ivr', 'Für den Vertrieb drücken Sie bitte die Eins.'],
    ['de', 'screening', 'Bitte nennen Sie Ihren Namen und den Grund Ihres Anrufs.'],
    ['fr', 'machine', 'Bonjour, vous êtes bien sur la messagerie de Paul. Laissez-moi un message après le bip.'],
    ['fr', 'machine_ivr', 'Pour le service client, tapez 1.'],
    ['fr', 'screening', "Indiquez votre nom et le motif de l'appel."],
    ['es', 'machine', 'En este momento no puedo atenderle. Deje su mensaje después de la señal.'],
    ['es', 'machine_ivr', 'Para ventas, pulse 1.'],
    ['es', 'screening', 'Diga su nombre y el motivo de la llamada.'],
    ['it', 'machine', 'Risponde la segreteria telefonica. Lasciate un messaggio dopo il segnale acustico.'],
    ['it', 'machine_ivr', 'Per informazioni, prema uno.'],
    ['no', 'machine', 'Jeg kan ikke svare akkurat nå. Legg igjen en beskjed etter pipetonen.'],
    ['no', 'machine_ivr', 'For salg, trykk 1.'],
  ] as const)('%s, %s: %s', (language, sign, text) => {
    expect(signIn(text, language, true)).toBe(sign)
    expect(signIn(text, null, true)).toBe(sign)
  })

  it.each([['en', 'Hello, John speaking'], ['en', 'How can I help you?'], ['de', 'Müller, guten Tag?'], ['fr', 'Allô, oui ?'], ['es', '¿Diga?'], ['it', 'Pronto, chi parla?'], ['no', 'Hallo, det er Kari.'], ['en', 'She is not available right now']] as const)('%s: a person says "%s"', (language, text) => {
    expect(['human', null]).toContain(signIn(text, language, false))
  })
})

describe('laws', () => {
  const event = fc.oneof(
    fc.record({ type: fc.constant('speech_start' as const) }),
    fc.record({ type: fc.constant('speech_stop' as const) }),
    fc.record({ type: fc.constant('tone_start' as const) }),
    fc.record({ type: fc.constantFrom('partial' as const, 'final' as const), text: fc.constantFrom('hello', 'leave a message after the tone', 'press one', 'say your name and why you are calling', 'how can i help') }),
    fc.record({ type: fc.constant('tone' as const), hz: fc.integer({ min: 350, max: 2_150 }), durationMs: fc.integer({ min: 120, max: 3_000 }) }),
  )
  const course = fc.array(fc.tuple(fc.integer({ min: 0, max: 30_000 }), event), { maxLength: 20 })

  it('one verdict is the first, all others correct it; the greeting of no person ends; it is always over in the end', () => {
    fc.assert(fc.property(course, (events) => {
      const effects = call(events).map(({ effect }) => effect)
      const verdicts = effects.filter((effect) => effect.do === 'verdict')
      expect(verdicts.map(({ revised }) => revised)).toEqual(verdicts.map((_, index) => index > 0))
      expect(verdicts.length).toBeGreaterThan(0)
      const ended = effects.findIndex((effect) => effect.do === 'greeting_ended')
      if (ended >= 0) expect(effects.slice(0, ended).findLast((effect) => effect.do === 'verdict')?.verdict).toMatch(/machine|screening/)
      expect(effects.filter((effect) => effect.do === 'greeting_ended').length).toBeLessThanOrEqual(2)
    }))
  })

  it('a step changes nothing but what it answers', () => {
    fc.assert(fc.property(course, (events) => {
      let state = openAmd({}, 0)
      for (const [atMs, one] of events.toSorted(([a], [b]) => a - b)) {
        const frozen = Object.freeze({ ...state })
        const sent = { ...one, nowMs: atMs, atMs } as AmdEvent
        const { state: next, effects } = stepAmd(frozen, sent)
        expect(stepAmd(frozen, sent)).toEqual({ state: next, effects })
        state = next
      }
    }))
  })
})
