import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Chunker, chunksOf } from './chunker.ts'
import { estimateSpans, mapSpans } from './spans.ts'
import { spokenOf } from './spoken.ts'

const texts = (text: string, language: string | null = 'en') => chunksOf(text, { language, firstChars: 0 }).map(({ text }) => text)
const spoken = (text: string, language: string | null = 'en', more: { contacts?: boolean; numbers?: boolean } = {}) => spokenOf(text, { language, contacts: true, numbers: false, ...more }).text

/** Written text as a model writes it, with everything that is hard. */
const piece = fc.oneof(
  fc.lorem({ maxCount: 3, mode: 'words' }),
  fc.constantFrom('Dr. ', 'e.g. ', '3.14', '1,000.50', 'https://example.com/a.b?c=d. ', 'anna.b-c@example.co.uk', '+49 (0)170 123-4567', '. ', '! ', '?\n', ', ', '\n\n- ', '**bold** ', '`code`', '[link](https://x.y/z)', '[', '](', '👩‍👩‍👧 ', '🇩🇪', '你好。', 'Grüße ', '…', '```ts\nlet a\n```', '| a | b |\n', '## ', '\ud800', '$5.50 ', '42% ', '  ', '<b>', 'z. B. '),
  fc.string({ unit: 'grapheme', maxLength: 8 }),
)
const written = fc.array(piece, { maxLength: 30 }).map((pieces) => pieces.join(''))

describe('chunks', () => {
  it('joined are exactly what was written, however it came, and know their place', () => {
    fc.assert(
      fc.property(written, fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 40 }), fc.integer({ min: 30, max: 300 }), fc.integer({ min: 0, max: 40 }), (text, cuts, maxChars, firstChars) => {
        const chunker = new Chunker({ language: 'en', maxChars, firstChars })
        const chunks = []
        for (let at = 0, i = 0; at < text.length; i++) {
          const size = cuts[i % cuts.length]!
          chunks.push(...chunker.write(text.slice(at, at + size)))
          at += size
        }
        chunks.push(...chunker.end())
        expect(chunks.map(({ text }) => text).join('')).toBe(text)
        for (const chunk of chunks) {
          expect(text.slice(chunk.charStart, chunk.charStart + chunk.text.length)).toBe(chunk.text)
          expect(chunk.text.length).toBeGreaterThan(0)
          expect(chunk.text.length).toBeLessThanOrEqual(maxChars)
        }
      }),
      { numRuns: 300 },
    )
  })

  it.each([
    ['Hello there, friend. How are you today? I am well!', ['Hello there, friend. ', 'How are you today? ', 'I am well!']],
    ['Dr. Smith will see you at 3.30 p.m. on Monday. Please come.', ['Dr. Smith will see you at 3.30 p.m. on Monday. ', 'Please come.']],
    ['Visit https://example.com/a.html. It costs 3.50 dollars.', ['Visit https://example.com/a.html. ', 'It costs 3.50 dollars.']],
    ['It takes approx. five minutes. J. R. Doe knows.', ['It takes approx. five minutes. ', 'J. R. Doe knows.']],
    ['It costs 50. Then we add 3. Fine?', ['It costs 50. ', 'Then we add 3. ', 'Fine?']],
    ['We need:\n1. A passport\n2. A photograph', ['We need:\n', '1. A passport\n', '2. A photograph']],
    ['He said "no way!" Then he left the room.', ['He said "no way!" ', 'Then he left the room.']],
    ['Ok. Yes. No. That is a longer sentence.', ['Ok. ', 'Yes. No. That is a longer sentence.']],
    ['Bring these:\n- your passport\n- a photograph of you', ['Bring these:\n', '- your passport\n', '- a photograph of you']],
    ['你好。今天天气很好，我们去公园吧。谢谢你。', ['你好。', '今天天气很好，我们去公园吧。', '谢谢你。']],
    ['Write to anna.smith@example.com. She answers.', ['Write to anna.smith@example.com. ', 'She answers.']],
    ['See [the page. It is here](https://example.com/x). Then call us now.', ['See [the page. It is here](https://example.com/x). ', 'Then call us now.']],
  ])('%s', (text, expected) => expect(texts(text)).toEqual(expected))

  it.each([
    ['de', 'Das gilt z. B. für Hr. Müller am 3. Mai. Alles klar?', ['Das gilt z. B. für Hr. Müller am 3. Mai. ', 'Alles klar?']],
    ['fr', 'Bonjour M. Dupont, vous allez bien ? Oui, très bien.', ['Bonjour M. Dupont, vous allez bien ? ', 'Oui, très bien.']],
    ['es', 'La Sra. López vive en la Av. Central. ¿Puede venir?', ['La Sra. López vive en la Av. Central. ', '¿Puede venir?']],
  ])('%s: %s', (language, text, expected) => expect(texts(text, language)).toEqual(expected))

  it('the first leaves early: at the first clause, or after twenty characters at a border of words', () => {
    const chunker = new Chunker({ language: 'en' })
    const tokens = ['I', ' can', ' certainly', ' help', ' you', ' with', ' that', '.']
    const left = tokens.map((token) => chunker.write(token).map(({ text }) => text))
    expect(left).toEqual([[], [], [], [], ['I can certainly help '], [], [], []])
    expect(chunker.end().map(({ text }) => text)).toEqual(['you with that.'])
    const clause = new Chunker({ language: 'en' })
    expect([...clause.write('Of course, '), ...clause.write('gladly')].map(({ text }) => text)).toEqual(['Of course, '])
    expect(new Chunker({ language: 'en' }).write('Hello! W').map(({ text }) => text)).toEqual(['Hello! '])
  })

  it('a first sentence that is there already is not cut', () => {
    expect(chunksOf('I can certainly help you with that. And more.').map(({ text }) => text)).toEqual(['I can certainly help you with that. ', 'And more.'])
  })

  it('a telephone number is not cut in two', () => {
    const text = `${'word '.repeat(10)}call +49 170 123 45 67 now`
    for (const maxChars of [56, 60, 64, 68, 72]) {
      const whole = chunksOf(text, { maxChars, firstChars: 0 }).some((chunk) => chunk.text.includes('+49 170 123 45 67'))
      expect(whole).toBe(true)
    }
    const chunker = new Chunker({ language: 'en' })
    expect(chunker.write('Our line is +49 170 123 45 67 and').map(({ text }) => text)).toEqual(['Our line is +49 170 123 45 67 '])
  })

  it('a megabyte without an end costs no more than its length', () => {
    const chunks = chunksOf('a'.repeat(1_000_000), { maxChars: 300 })
    expect(chunks.length).toBe(Math.ceil(1_000_000 / 300))
  })
})

describe('spoken form', () => {
  it('every character of it leads back to what was written', () => {
    fc.assert(
      fc.property(written, fc.constantFrom('en', 'de', 'fr', 'ja', null), fc.boolean(), fc.boolean(), (text, language, contacts, numbers) => {
        const said = spokenOf(text, { language, contacts, numbers })
        let before = 0
        for (let at = 0; at < said.text.length; at++) {
          const { charStart, charEnd } = said.source(at, at + 1)
          expect(charEnd).toBeGreaterThan(charStart)
          expect(charStart).toBeGreaterThanOrEqual(before)
          // One character for one: then it is the same.
          if (charEnd - charStart === 1 && said.source(Math.max(0, at - 1), at).charStart !== charStart && said.source(Math.min(at + 1, said.text.length - 1), at + 2).charStart !== charStart && /[\p{L}]/u.test(said.text[at]!)) expect(text[charStart]).toBe(said.text[at])
          before = charStart
        }
        const all = said.source(0, said.text.length)
        expect(all.charStart).toBeGreaterThanOrEqual(0)
        expect(all.charEnd).toBeLessThanOrEqual(text.length)
      }),
      { numRuns: 200 },
    )
  })

  it('plain text stays as it is', () => {
    for (const text of ['Plain words, with 5 * 3 = 15 and snake_case_name.', 'A < B and B > C & D', 'It is 10:30 on 21.11.2026 - fine', '© 2026 Example™'])
      expect(spoken(text)).toBe(text)
  })

  it.each([
    ['**Bold**, *italic*, __under__, _line_ and ~~gone~~ `code`', 'Bold, italic, under, line and gone code'],
    ['# Title\n> quoted\n* item one\n- item two', 'Title\nquoted\nitem one\nitem two'],
    ['See [our page](https://example.com) or ![a cat](cat.png)', 'See our page or a cat'],
    ['```ts\nlet a = 1\n```', '\nlet a = 1\n'],
    ['Great 👍🏽 news 🇩🇪 for 👩‍👩‍👧 you 1️⃣', 'Great  news  for  you 1'],
    ['| Name | Price |\n|---|---|\n| Tea | 3 |', ' Name , Price \n\n Tea , 3 '],
    ['Line<br>break <b>bold</b>', 'Linebreak bold'],
  ])('takes out: %s', (text, expected) => expect(spoken(text)).toBe(expected))

  it.each([
    ['en', 'Mail anna.b@example.com now', 'Mail anna dot b at example dot com now'],
    ['de', 'an max_m@firma-web.de.', 'an max Unterstrich m ät firma Bindestrich web Punkt de.'],
    ['en', 'Go to https://www.example.com/help?x=1.', 'Go to example dot com slash help.'],
    ['en', 'Call +49 170 1234567.', 'Call plus 4 9, 1 7 0, 1 2 3, 4 5 6 7.'],
    ['en', 'Call 555-867-5309 or (030) 1234567', 'Call 5 5 5, 8 6 7, 5 3 0 9 or 0 3 0, 1 2 3, 4 5 6 7'],
    ['en', 'In 2026 we had 1,250,000 visits on 2026-11-21', 'In 2026 we had 1,250,000 visits on 2026-11-21'],
  ])('%s: %s', (language, text, expected) => expect(spoken(text, language)).toBe(expected))

  it.each([
    ['en', 'It costs $5.50 or 42% of 1,234.', 'It costs five dollars fifty or forty-two percent of one thousand two hundred thirty-four.'],
    ['de', 'Das sind 1.234,5 oder 3 € und -2 Grad', 'Das sind eintausendzweihundertvierunddreißig komma fünf oder drei Euro und minus zwei Grad'],
    ['fr', 'J’ai 21 ans', 'J’ai vingt et un ans'],
    ['en', 'Agent 007, version 1.2.3 at 14:30, A4', 'Agent zero zero seven, version 1.2.3 at 14:30, A4'],
    ['en', 'One pound: £1', 'One pound: one pound'],
    ['xx', 'Take 42', 'Take 42'],
  ])('numbers, %s: %s', (language, text, expected) => expect(spoken(text, language, { numbers: true })).toBe(expected))

  it('what is expanded stands for all of what was written', () => {
    const text = 'Mail a@b.de or **42** now'
    const said = spokenOf(text, { language: 'en', contacts: true, numbers: true })
    const place = (word: string) => said.source(said.text.indexOf(word), said.text.indexOf(word) + word.length)
    expect(text.slice(place('at').charStart, place('at').charEnd)).toBe('a@b.de')
    expect(text.slice(place('forty-two').charStart, place('forty-two').charEnd)).toBe('42')
    expect(text.slice(place('now').charStart, place('now').charEnd)).toBe('now')
  })
})

describe('estimated spans', () => {
  it('are in order, inside the time, and cover every word', () => {
    fc.assert(
      fc.property(written, fc.integer({ min: 1, max: 60_000 }), (text, durationMs) => {
        const spans = estimateSpans(text, durationMs)
        let [at, ms] = [0, 0]
        for (const span of spans) {
          expect(span.charStart).toBeGreaterThanOrEqual(at)
          expect(span.startMs).toBeGreaterThanOrEqual(ms - 1e-6)
          expect(span.endMs).toBeGreaterThan(span.startMs)
          at = span.charEnd
          ms = span.endMs
        }
        expect(ms).toBeLessThanOrEqual(durationMs + 1e-6)
        const words = [...text.matchAll(/\S+/gu)].filter(([word]) => /[\p{L}\p{N}]/u.test(word))
        expect(spans.map(({ charStart }) => charStart)).toEqual(words.map(({ index }) => index))
      }),
      { numRuns: 200 },
    )
  })

  it('give long words more time, and a pause to marks', () => {
    const [short, long, after] = estimateSpans('go, refrigerator now', 1_000)
    expect(long!.endMs - long!.startMs).toBeGreaterThan(3 * (short!.endMs - short!.startMs))
    expect(long!.startMs).toBeGreaterThan(short!.endMs)
    expect(after!.endMs).toBeCloseTo(1_000)
  })

  it('of one written word become one', () => {
    const spans = [
      { charStart: 0, charEnd: 5, startMs: 0, endMs: 10 },
      { charStart: 6, charEnd: 9, startMs: 10, endMs: 20 },
    ]
    expect(mapSpans(spans, () => ({ charStart: 0, charEnd: 2 }))).toEqual([{ charStart: 0, charEnd: 2, startMs: 0, endMs: 20 }])
  })
})
