import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { findBareName, findEmail, findName, findPhone } from './facts.ts'
import { detectLanguage } from './language.ts'
import { wishesOf } from './wishes.ts'

describe('e-mail addresses', () => {
  it('are found in the middle of anything', () => {
    expect(findEmail('write to Jane.Doe+x@Mail.Example.com, please')).toBe('jane.doe+x@mail.example.com')
    expect(findEmail('jane (at) example (dot) com')).toBe('jane@example.com')
    expect(findEmail('my handle is @jane, a@b')).toBeNull()
  })
})

describe('phone numbers', () => {
  const found: [string, string][] = [
    ['+49 30 1234567', '+49301234567'],
    ['call me at (415) 555-0132', '4155550132'],
    ['0049 (0)30 / 123 45 67', '+49301234567'],
    ['030-1234567', '0301234567'],
    ['06 12 34 56 78', '0612345678'],
    ['mi móvil es 612 34 56 78', '612345678'],
    ['+55 (11) 91234-5678', '+5511912345678'],
    ['meine Nummer: 0171/1234567', '01711234567'],
    ['whatsapp 4915112345678', '4915112345678'],
    ['a@b.example 555-012-3456', '5550123456'],
  ]
  for (const [text, phone] of found) it(`"${text}"`, () => expect(findPhone(text)).toBe(phone))

  const none = ['on 2026-11-20', '20.11.2026 or 21/11/2026', 'order 123456789', 'Rechnung Nr. 4711 0815 22', 'it costs 1000000', 'from 9:00 to 17:00', 'https://example.com/0301234567', 'room 12345', 'user20301234567@mail.example', 'IBAN 89 3704 0044 0532 0130 00', '4111 1111 1111 1111 11111']
  for (const text of none) it(`none in "${text}"`, () => expect(findPhone(text)).toBeNull())

  it('are believed more easily right after we asked', () => {
    expect(findPhone('123456')).toBeNull()
    expect(findPhone('123456', true)).toBe('123456')
  })

  it('survive any usual grouping of an international number', () => {
    const separator = fc.constantFrom(' ', '-', '.', ' / ', '')
    fc.assert(
      fc.property(fc.stringMatching(/^[1-9]\d{9,12}$/), fc.array(separator, { minLength: 13, maxLength: 13 }), (digits, separators) => {
        const written = `+${digits.split('').map((digit, index) => digit + (index % 3 === 2 && index < digits.length - 1 ? separators[index] : '')).join('')}`
        fc.pre(!/^(.)\1+$/.test(digits))
        expect(findPhone(`my number ${written} thanks`)).toBe(`+${digits}`)
      }),
    )
  })
})

describe('names', () => {
  const found: [string, string][] = [
    ['My name is John Smith and I need help', 'John Smith'],
    ["my name's anna", 'Anna'],
    ["Hi, I'm Jane Miller, from Acme", 'Jane Miller'],
    ['this is Ludwig van Beethoven calling', 'Ludwig van Beethoven'],
    ['Ich heiße Jürgen Groß.', 'Jürgen Groß'],
    ['Guten Tag, mein Name ist Anna-Lena Meyer', 'Anna-Lena Meyer'],
    ['Ich bin Petra Schulz aus Köln', 'Petra Schulz'],
    ['me llamo maría garcía', 'María García'],
    ['Hola, soy Carlos', 'Carlos'],
    ["Je m'appelle François Dupont", 'François Dupont'],
    ['Bonjour, je suis Amélie', 'Amélie'],
    ['mi chiamo Luca Rossi e vorrei', 'Luca Rossi'],
    ['Sono Giulia', 'Giulia'],
    ['Meu nome é João da Silva', 'João da Silva'],
    ['sou o Pedro', 'Pedro'],
    ["It's O'Brien", "O'Brien"],
  ]
  for (const [text, name] of found) it(`"${text}"`, () => expect(findName(text)).toBe(name))

  const none = ["I'm interested in a chair", 'I am late', "I'm Interested", 'ich bin Kunde bei Ihnen', 'Ich bin sehr zufrieden', 'this is urgent', 'soy cliente', 'je suis intéressé', 'sono in ritardo', 'John', 'is my name on the list?']
  for (const text of none) it(`none in "${text}"`, () => expect(findName(text)).toBeNull())

  it('bare ones count after the question', () => {
    for (const [text, name] of [['Jane', 'Jane'], ['jane miller', 'Jane Miller'], ['Miller, Jane', 'Miller Jane'], ["I'm Jane", 'Jane'], ['Anna.', 'Anna']] as const) expect(findBareName(text), text).toBe(name)
    for (const text of ['yes', 'why?', 'no thanks', 'hello', 'I want a chair for my office now', 'danke', '42', 'not telling you, sorry']) expect(findBareName(text), text).toBeNull()
  })
})

describe('languages', () => {
  const texts: [string, string][] = [
    ['hello', 'en'], ['Hi, do you have time tomorrow?', 'en'], ['I need a table for two', 'en'],
    ['Hallo', 'de'], ['Guten Tag', 'de'], ['ich brauche einen Termin', 'de'], ['Haben Sie morgen geöffnet?', 'de'],
    ['Hola', 'es'], ['buenos días', 'es'], ['quiero una cita para mañana', 'es'], ['¿Están abiertos hoy?', 'es'],
    ['Bonjour', 'fr'], ["Je voudrais un rendez-vous, s'il vous plaît", 'fr'], ['vous êtes ouverts demain ?', 'fr'],
    ['Buongiorno', 'it'], ['ciao, vorrei un appuntamento', 'it'], ['siete aperti domani?', 'it'],
    ['Olá', 'pt'], ['bom dia', 'pt'], ['gostaria de marcar uma consulta para amanhã', 'pt'], ['vocês estão abertos hoje?', 'pt'],
  ]
  for (const [text, language] of texts) it(`"${text}" is ${language}`, () => expect(detectLanguage([text])).toBe(language))

  it('keeps the language through lines that tell nothing, and follows a change', () => {
    expect(detectLanguage(['Hallo, ich brauche einen Termin', 'Jane', '+49 30 1234567'])).toBe('de')
    expect(detectLanguage(['Hallo', 'Sorry, can we speak English please, my German is bad'])).toBe('en')
    expect(detectLanguage(['12345'], 'fr')).toBe('fr')
  })
})

describe('wishes', () => {
  const human = ['human', 'Agent please', 'operator!', 'I want to speak to a real person', 'can I talk to someone?', 'please connect me with an agent', 'Ich möchte mit einem Menschen sprechen', 'Mitarbeiter bitte', 'kann ich mit jemandem reden', 'quiero hablar con una persona', 'un humano por favor', 'je veux parler à un conseiller', 'parler à quelqu’un', 'vorrei parlare con un operatore', 'quero falar com um atendente', 'humano']
  for (const text of human) it(`"${text}" asks for a person`, () => expect(wishesOf(text)).toContain('human'))

  const not = ['I need a real estate agent in Berlin', 'my travel agent booked it', 'table for one person', 'eine Person, zwei Nächte', 'somos cuatro personas', 'pour une personne']
  for (const text of not) it(`"${text}" does not`, () => expect(wishesOf(text)).not.toContain('human'))

  const hours = ['When are you open?', 'what are your opening hours', 'are you open today?', 'Wann habt ihr geöffnet?', 'Öffnungszeiten?', '¿A qué hora abren?', 'horario?', 'vous ouvrez à quelle heure', 'vos horaires ?', 'a che ora aprite?', 'que horas vocês abrem', 'estão abertos?']
  for (const text of hours) it(`"${text}" asks for the hours`, () => expect(wishesOf(text)).toContain('hours'))
})
