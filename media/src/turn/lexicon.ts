/** Words that keep a conversation going without taking the word; per language, lower case, without punctuation. */
const BACKCHANNELS: Record<string, readonly string[]> = {
  en: ['mhm', 'mm', 'mmhm', 'hmm', 'uh huh', 'aha', 'yeah', 'yep', 'yes', 'okay', 'ok', 'right', 'sure', 'i see', 'got it', 'alright'],
  de: ['mhm', 'hm', 'hmm', 'aha', 'ja', 'jaja', 'okay', 'ok', 'genau', 'gut', 'verstehe', 'ach so', 'klar'],
  es: ['mhm', 'aja', 'ajá', 'sí', 'si', 'vale', 'claro', 'bueno', 'ya', 'ok', 'okay', 'entiendo'],
  fr: ['mhm', 'hum', 'hmm', 'oui', 'ouais', "d'accord", 'daccord', 'ok', 'okay', 'je vois', 'bien'],
}

/** After one of these a sentence goes on. */
const GOES_ON: Record<string, readonly string[]> = {
  en: ['and', 'or', 'but', 'so', 'because', 'if', 'then', 'the', 'a', 'an', 'my', 'your', 'is', 'are', 'to', 'of', 'for', 'with', 'at', 'in', 'on', 'from', 'um', 'uh', 'er', 'well', 'like', 'i', 'we', 'that', 'its', "it's"],
  de: ['und', 'oder', 'aber', 'weil', 'wenn', 'dann', 'der', 'die', 'das', 'den', 'dem', 'ein', 'eine', 'einen', 'mein', 'meine', 'ist', 'sind', 'zu', 'von', 'für', 'mit', 'an', 'in', 'auf', 'aus', 'äh', 'ähm', 'also', 'ich', 'wir', 'dass'],
  es: ['y', 'o', 'pero', 'porque', 'si', 'entonces', 'el', 'la', 'los', 'las', 'un', 'una', 'mi', 'su', 'es', 'son', 'a', 'de', 'para', 'con', 'en', 'eh', 'este', 'pues', 'que', 'yo'],
  fr: ['et', 'ou', 'mais', 'parce', 'si', 'alors', 'le', 'la', 'les', 'un', 'une', 'mon', 'ma', 'votre', 'est', 'sont', 'à', 'de', 'du', 'pour', 'avec', 'en', 'euh', 'ben', 'que', 'je', 'nous'],
}

const words = (text: string): string[] => text.toLowerCase().replaceAll(/[^\p{L}\p{N}' ]/gu, ' ').split(/\s+/).filter((word) => word !== '')
const listsOf = (lists: Record<string, readonly string[]>, language: string | null): readonly (readonly string[])[] => {
  const list = language === null ? undefined : lists[language.slice(0, 2).toLowerCase()]
  return list ? [list] : Object.values(lists)
}

/** Nothing but backchannels, three at most. An unknown language is looked up in all. */
export function isBackchannel(text: string, language: string | null): boolean {
  const said = words(text)
  if (said.length === 0 || said.length > 6) return said.length === 0
  return listsOf(BACKCHANNELS, language).some((list) => isMadeOf(said, list, 3))
}

function isMadeOf(said: readonly string[], list: readonly string[], most: number): boolean {
  if (said.length === 0) return true
  if (most === 0) return false
  return list.some((entry) => {
    const parts = entry.split(' ')
    return parts.every((part, index) => said[index] === part) && isMadeOf(said.slice(parts.length), list, most - 1)
  })
}

/** Ends in the middle: with a conjunction, an article, a filler, a comma. */
export function looksUnfinished(text: string, language: string | null): boolean {
  const last = words(text).at(-1)
  if (last === undefined) return false
  return /[,;:–-]\s*$|\.\.\.\s*$|…\s*$/.test(text) || listsOf(GOES_ON, language).some((list) => list.includes(last))
}

/** A recogniser that writes punctuation has put an end. */
export const looksComplete = (text: string): boolean => /[.!?。！？]["')\]]*\s*$/.test(text) && !/\.\.\.\s*$/.test(text)
