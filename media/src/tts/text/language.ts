/** Words that written signs have when they are read out. */
export type SignWords = { at: string; dot: string; slash: string; dash: string; underscore: string; plus: string; percent: string; decimal: '.' | ','; currencies: Record<string, readonly [one: string, many: string]> }

const EN: SignWords = { at: 'at', dot: 'dot', slash: 'slash', dash: 'dash', underscore: 'underscore', plus: 'plus', percent: 'percent', decimal: '.', currencies: { '€': ['euro', 'euros'], $: ['dollar', 'dollars'], '£': ['pound', 'pounds'] } }

const SIGN_WORDS: Record<string, SignWords> = {
  en: EN,
  de: { at: 'ät', dot: 'Punkt', slash: 'Schrägstrich', dash: 'Bindestrich', underscore: 'Unterstrich', plus: 'plus', percent: 'Prozent', decimal: ',', currencies: { '€': ['Euro', 'Euro'], $: ['Dollar', 'Dollar'], '£': ['Pfund', 'Pfund'] } },
  fr: { at: 'arobase', dot: 'point', slash: 'barre oblique', dash: 'tiret', underscore: 'tiret bas', plus: 'plus', percent: 'pour cent', decimal: ',', currencies: { '€': ['euro', 'euros'], $: ['dollar', 'dollars'], '£': ['livre', 'livres'] } },
  es: { at: 'arroba', dot: 'punto', slash: 'barra', dash: 'guion', underscore: 'guion bajo', plus: 'más', percent: 'por ciento', decimal: ',', currencies: { '€': ['euro', 'euros'], $: ['dólar', 'dólares'], '£': ['libra', 'libras'] } },
  pt: { at: 'arroba', dot: 'ponto', slash: 'barra', dash: 'hífen', underscore: 'sublinhado', plus: 'mais', percent: 'por cento', decimal: ',', currencies: { '€': ['euro', 'euros'], $: ['dólar', 'dólares'], '£': ['libra', 'libras'] } },
  it: { at: 'chiocciola', dot: 'punto', slash: 'barra', dash: 'trattino', underscore: 'trattino basso', plus: 'più', percent: 'per cento', decimal: ',', currencies: { '€': ['euro', 'euro'], $: ['dollaro', 'dollari'], '£': ['sterlina', 'sterline'] } },
  nl: { at: 'apenstaartje', dot: 'punt', slash: 'schuine streep', dash: 'streepje', underscore: 'laag streepje', plus: 'plus', percent: 'procent', decimal: ',', currencies: { '€': ['euro', 'euro'], $: ['dollar', 'dollar'], '£': ['pond', 'pond'] } },
}

/** `de-AT` -> `de`; null and what cannot be read -> `en`. */
export const baseLanguage = (language: string | null): string => /^[a-z]{2,3}(?=-|$)/i.exec(language ?? '')?.[0].toLowerCase() ?? 'en'

/** English where we know no better. */
export const signWords = (language: string | null): SignWords => SIGN_WORDS[baseLanguage(language)] ?? EN

/** Before these a full stop ends no sentence. Lower case, without the last dot. */
const ABBREVIATIONS: Record<string, string> = {
  en: 'mr mrs ms dr prof sr jr st vs etc e.g i.e approx dept est inc ltd co corp no nos fig vol ave blvd rd apt tel ext min max jan feb mar apr jun jul aug sep sept oct nov dec mon tue wed thu fri sat sun a.m p.m u.s u.k',
  de: 'dr prof hr fr frl str nr tel bzw ca evtl ggf inkl exkl usw etc z.b z d.h d u.a u s o abs art bspw vgl zzgl mind max min mwst st jan feb mär apr jun jul aug sep sept okt nov dez mo di mi do fr sa so',
  fr: 'm mme mlle mm dr pr me st ste av bd tél etc p.ex ex env max min janv févr avr juil sept oct nov déc',
  es: 'sr sra srta dr dra d dña av avda c ud uds tel etc p.ej ej pág núm aprox máx mín ene feb mar abr may jun jul ago sep oct nov dic',
  pt: 'sr sra dr dra prof av r tel etc p.ex ex nº pág aprox máx mín jan fev mar abr mai jun jul ago set out nov dez',
  it: 'sig sig.ra sigg dott dott.ssa prof avv ing tel ecc p.es es pag n circa max min gen feb mar apr mag giu lug ago set ott nov dic',
  nl: 'dhr mevr dr prof ir ing str nr tel bijv bv enz o.a d.w.z evt incl excl ca max min jan feb mrt apr jun jul aug sep okt nov dec',
}
const SETS = new Map(Object.entries(ABBREVIATIONS).map(([language, words]) => [language, new Set(words.split(' '))]))

/** `word`: what stands before the full stop, back to the last space. */
export const isAbbreviation = (word: string, language: string | null): boolean => (SETS.get(baseLanguage(language)) ?? SETS.get('en')!).has(word.toLowerCase().replace(/^[("'[]+/, ''))

const ORDINAL_DOTS = new Set(['de', 'da', 'nb', 'nn', 'no', 'is', 'fi', 'et', 'lv', 'cs', 'sk', 'pl', 'sl', 'hr', 'sr', 'bs', 'hu', 'tr', 'lb'])

/** Is "3." "the third" there? */
export const hasOrdinalDots = (language: string | null): boolean => ORDINAL_DOTS.has(baseLanguage(language))
