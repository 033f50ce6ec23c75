import { baseLanguage } from '../text/language.ts'

/** What must be sayable when no voice is: short, and true whatever has happened. */
export type MessageKey = 'trouble' | 'busy' | 'goodbye'
export const MESSAGE_KEYS: readonly MessageKey[] = ['trouble', 'busy', 'goodbye']

const MESSAGES: Record<string, Record<MessageKey, string>> = {
  en: { trouble: 'We are having technical trouble. Please call again later.', busy: 'All our lines are busy. Please call again in a few minutes.', goodbye: 'Thank you for calling. Goodbye.' },
  de: { trouble: 'Wir haben gerade technische Schwierigkeiten. Bitte rufen Sie später noch einmal an.', busy: 'Alle Leitungen sind belegt. Bitte rufen Sie in einigen Minuten noch einmal an.', goodbye: 'Vielen Dank für Ihren Anruf. Auf Wiederhören.' },
  fr: { trouble: 'Nous rencontrons un problème technique. Veuillez rappeler plus tard.', busy: 'Toutes nos lignes sont occupées. Veuillez rappeler dans quelques minutes.', goodbye: 'Merci de votre appel. Au revoir.' },
  es: { trouble: 'Tenemos problemas técnicos. Por favor, llame de nuevo más tarde.', busy: 'Todas nuestras líneas están ocupadas. Por favor, llame de nuevo en unos minutos.', goodbye: 'Gracias por su llamada. Adiós.' },
  pt: { trouble: 'Estamos com problemas técnicos. Por favor, ligue mais tarde.', busy: 'Todas as nossas linhas estão ocupadas. Por favor, ligue novamente em alguns minutos.', goodbye: 'Obrigado pela sua chamada. Até logo.' },
  it: { trouble: 'Abbiamo problemi tecnici. La preghiamo di richiamare più tardi.', busy: 'Tutte le nostre linee sono occupate. La preghiamo di richiamare tra qualche minuto.', goodbye: 'Grazie per la chiamata. Arrivederci.' },
  nl: { trouble: 'Wij hebben een technische storing. Belt u later nog eens terug.', busy: 'Al onze lijnen zijn bezet. Belt u over enkele minuten terug.', goodbye: 'Bedankt voor uw telefoontje. Tot ziens.' },
}

export const MESSAGE_LANGUAGES: readonly string[] = Object.keys(MESSAGES)

/** In the language if we have it, else in English. */
export function messageText(key: MessageKey, language: string | null): { text: string; language: string } {
  const base = baseLanguage(language)
  const known = MESSAGES[base] ? base : 'en'
  return { text: MESSAGES[known]![key], language: known }
}
