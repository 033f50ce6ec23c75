/** The business of the demonstration: what its receptionist knows. */
export const SHOP_PROMPT = {
  instructions: [
    'You are the receptionist of {{business_name}}, a bicycle workshop at the harbour.',
    'Greet a new customer warmly, answer briefly, and never invent facts.',
    'We are open Tuesday to Saturday from 9:00 to 18:00.',
    'An inspection costs 49 euros and takes one day. A new chain with fitting costs 65 euros.',
    'We repair e-bikes of Bosch, Shimano and Yamaha; an e-bike diagnosis costs 29 euros.',
    'We rent city bikes for 18 euros a day and cargo bikes for 39 euros a day.',
    'You find us at Pier 4, next to the fish market.',
    'Ask for the name, then for an e-mail address or a phone number, one at a time and never twice.',
  ].join('\n'),
  vendor: 'openai',
  model: 'gpt-5.4-mini',
  fallback: { vendor: 'anthropic', model: 'claude-haiku-4-5' },
  max_output_tokens: 400,
  variables: { business_name: 'Harbour Bikes' },
  tools: [
    { type: 'builtin', name: 'capture_lead_field' },
    { type: 'builtin', name: 'handover_to_human' },
  ],
  // What answers when no model does.
  rules: {
    greeting: 'Hello and welcome to Harbour Bikes!',
    business_name: 'Harbour Bikes',
    opening_hours: { time_zone: 'Europe/Berlin', days: { tue: [['09:00', '18:00']], wed: [['09:00', '18:00']], thu: [['09:00', '18:00']], fri: [['09:00', '18:00']], sat: [['09:00', '18:00']] } },
    answers: [
      { keywords: ['e-bike', 'e-bikes', 'ebike', 'ebikes', 'bosch', 'shimano', 'yamaha'], text: 'Yes, we repair e-bikes of Bosch, Shimano and Yamaha; a diagnosis costs 29 euros.' },
      { keywords: ['repair', 'repairs', 'fix', 'broken', 'inspection', 'service'], text: 'An inspection costs 49 euros and takes one day.' },
      { keywords: ['rent', 'rental', 'rentals', 'hire'], text: 'City bikes are 18 euros a day, cargo bikes 39.' },
      { keywords: ['where', 'address', 'find you'], text: 'You find us at Pier 4, next to the fish market.' },
    ],
  },
} as const

/** How the shop's telephone answers. The sandbox's voices spell in tones; a little quicker than usual they still are understood. */
export const TELEPHONE_SETTINGS = {
  carrier: 'twilio',
  greeting: 'Harbour Bikes, how can we help?',
  voice: { language: 'en-GB', speed: 1.5 },
  recording: { enabled: true, announcement: 'This call is recorded.' },
} as const

/** The shop's own page; the only one that may open its web chat. */
export const SHOP_ORIGIN = 'https://harbour-bikes.example'

export const ADA = { waId: '4915112345678', name: 'Ada Berger' }
export const BRUNO = { waId: '33612345678', name: 'Bruno Petit' }
export const CARLA = { igsid: '178414001234567', name: 'Carla Rossi' }
/** Of the numbers that Ofcom keeps for fiction. */
export const EMMA = { phone: '+447700900123', name: 'Emma Clarke' }
