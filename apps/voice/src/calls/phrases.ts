import type { PipelineOptions } from '@trunkline/media'

/** What is said without a model, by language. */
export type Phrases = PipelineOptions['phrases'] & {
  /** A line that broke is there again. */
  line_back: string
  credit_over: string
  transfer: string
  transfer_failed: string
  /** To the colleague who is to take over, before what it is about, and after it. */
  briefing: string
  take_it: string
}

const EN: Phrases = {
  ask_again: 'Sorry, could you say that again?', are_you_there: 'Are you still there?', recovery: 'One moment, please.', goodbye: 'Goodbye.', filler: 'Let me look that up.',
  line_back: 'Sorry, we were cut off. I am here again.', credit_over: 'I am sorry, I have to end this call now. Please try again later. Goodbye.',
  transfer: 'I am putting you through.', transfer_failed: 'I am sorry, nobody is there at the moment.',
  briefing: 'A caller for you.', take_it: 'Do you take the call? Say yes, or press one.',
}
const DE: Phrases = {
  ask_again: 'Entschuldigung, können Sie das noch einmal sagen?', are_you_there: 'Sind Sie noch da?', recovery: 'Einen Moment, bitte.', goodbye: 'Auf Wiederhören.', filler: 'Ich sehe kurz nach.',
  line_back: 'Entschuldigung, wir waren kurz unterbrochen. Ich bin wieder da.', credit_over: 'Es tut mir leid, ich muss dieses Gespräch jetzt beenden. Bitte versuchen Sie es später noch einmal. Auf Wiederhören.',
  transfer: 'Ich verbinde Sie.', transfer_failed: 'Es tut mir leid, dort ist gerade niemand erreichbar.',
  briefing: 'Ein Anruf für Sie.', take_it: 'Nehmen Sie ihn an? Sagen Sie ja, oder drücken Sie die eins.',
}
const FR: Phrases = {
  ask_again: "Pardon, pouvez-vous répéter ?", are_you_there: 'Êtes-vous toujours là ?', recovery: "Un instant, s'il vous plaît.", goodbye: 'Au revoir.', filler: 'Je regarde tout de suite.',
  line_back: 'Pardon, nous avons été coupés. Je suis de nouveau là.', credit_over: 'Je suis désolé, je dois mettre fin à cet appel. Merci de rappeler plus tard. Au revoir.',
  transfer: 'Je vous mets en relation.', transfer_failed: "Je suis désolé, personne n'est joignable pour le moment.",
  briefing: 'Un appel pour vous.', take_it: 'Le prenez-vous ? Dites oui, ou appuyez sur un.',
}
const ES: Phrases = {
  ask_again: 'Perdone, ¿puede repetirlo?', are_you_there: '¿Sigue ahí?', recovery: 'Un momento, por favor.', goodbye: 'Adiós.', filler: 'Lo miro enseguida.',
  line_back: 'Perdone, se ha cortado. Ya estoy aquí otra vez.', credit_over: 'Lo siento, tengo que terminar esta llamada. Por favor, inténtelo más tarde. Adiós.',
  transfer: 'Le paso con un compañero.', transfer_failed: 'Lo siento, ahora mismo no hay nadie disponible.',
  briefing: 'Una llamada para usted.', take_it: '¿La toma? Diga sí, o pulse uno.',
}
const NO: Phrases = {
  ask_again: 'Unnskyld, kan du si det en gang til?', are_you_there: 'Er du der fortsatt?', recovery: 'Et øyeblikk.', goodbye: 'Ha det bra.', filler: 'Jeg sjekker det med en gang.',
  line_back: 'Unnskyld, forbindelsen ble brutt. Nå er jeg her igjen.', credit_over: 'Beklager, jeg må avslutte samtalen nå. Prøv gjerne igjen senere. Ha det bra.',
  transfer: 'Jeg setter deg over.', transfer_failed: 'Beklager, ingen er tilgjengelig akkurat nå.',
  briefing: 'En samtale til deg.', take_it: 'Tar du den? Si ja, eller trykk en.',
}
const BY_LANGUAGE: Readonly<Record<string, Phrases>> = { en: EN, de: DE, fr: FR, es: ES, no: NO, nb: NO, nn: NO }

/** By the first part of a language tag; English for all others. */
export const phrasesFor = (language: string | null): Phrases => BY_LANGUAGE[(language ?? 'en').split('-')[0]!.toLowerCase()] ?? EN
