/**
 * What machines say when they answer, by language. Patterns meet text as `plain` makes it: small letters without accents, words with one space
 * between. `sure` words no person says on the telephone's first breath; `hint` words some do, so they count in a long greeting only.
 */
type Words = { sure: readonly RegExp[]; hint: readonly RegExp[] }
type Lexicon = { machine: Words; ivr: Words; screening: Words; full: readonly RegExp[]; tone: readonly RegExp[]; human: readonly RegExp[] }

const EN: Lexicon = {
  machine: {
    sure: [/\bleave (\S+ ){0,4}(message|name)\b/, /\b(after|at) the (tone|beep)\b/, /\bvoice ?(mail|messaging)\b/, /\bmailbox\b/, /\brecord your message\b/, /\banswering machine\b/, /\bget back to you as soon as\b/],
    hint: [/\b(not|un) ?available\b/, /\bcan ?(not|t) (\S+ ){0,3}(answer|take|come to)\b/, /\byou ve reached\b/, /\byou have reached\b/],
  },
  ivr: { sure: [/\bpress (\S+ ){0,3}(\d|one|two|three|four|five|six|seven|eight|nine|zero|star|pound|hash)\b/, /\bmain menu\b/, /\bmenu options\b/, /\bfollowing options\b/, /\bpara espanol\b/], hint: [/\bthis call may be (recorded|monitored)\b/, /\bplease (hold|stay on the line)\b/, /\boffice hours\b/] },
  screening: {
    sure: [/\b(say|state|record|tell me) your name\b.*\b(why|reason|purpose)\b/, /\bscreening (service|this call|your call|calls)\b/, /\bcall assist\b/, /\bsee if (this|the) person is available\b/, /\bsee if (he|she|they) (is|are) available\b.*\bname\b/],
    hint: [/\bwho (is|s) (calling|this)\b/, /\bwhy you (are|re) calling\b/, /\breason for (your call|calling)\b/],
  },
  full: [/\b(mailbox|mail box) (is )?full\b/, /\bcan ?not accept (\S+ ){0,2}messages\b/, /\bnot accepting messages\b/, /\bhas not been set up\b/],
  tone: [/\b(tone|beep)\b/],
  human: [/\b(how|what) (can|may) i (help|do)\b/, /\bhow may i direct\b/, /\bspeaking$/],
}

const DE: Lexicon = {
  machine: {
    sure: [/\b(hinterlass\S*|hinterlegen|sprechen) (\S+ ){0,5}(nachricht|mitteilung)\b/, /\bnachricht (\S+ ){0,4}(hinterlassen|sprechen|aufsprechen)\b/, /\bnach (dem|einem) (signal|piep|ton|signalton|piepton)\S*\b/, /\bmailbox\b/, /\banrufbeantworter\b/, /\bsprachbox\b/],
    hint: [/\b(nicht|momentan nicht|zur zeit nicht) (\S+ ){0,2}(erreichbar|verfugbar|erreichen)\b/, /\bvorubergehend nicht\b/, /\brufen (wir )?(\S+ ){0,2}zuruck\b/],
  },
  ivr: { sure: [/\bdrucken sie (\S+ ){0,3}(\d|eins?|zwei|drei|vier|funf|null|raute|stern|taste)\b/, /\bwahlen sie (\S+ ){0,3}(\d|eins?|zwei|drei|vier|funf|null|raute|stern)\b/, /\bhauptmenu\b/], hint: [/\bbleiben sie (\S+ ){0,2}(leitung|apparat)\b/, /\bgesprach (\S+ ){0,3}aufgezeichnet\b/, /\bgeschaftszeiten\b/] },
  screening: { sure: [/\b(nennen|sagen) (\S+ ){0,3}namen\b.*\b(grund|warum|weshalb)\b/, /\banruffilter\b/, /\bob (die|diese) person (\S+ ){0,2}verfugbar\b/], hint: [/\bwer (ist da|spricht|ruft an)\b/, /\bgrund (fur )?(ihres|ihren|deines) anruf\S*\b/] },
  full: [/\b(mailbox|sprachbox|speicher) ist voll\b/, /\bkeine (weiteren )?nachrichten\b/],
  tone: [/\b(signal|piep|ton|signalton|piepton)\S*\b/],
  human: [/\bwas kann ich fur sie tun\b/, /\bwie (kann|darf) ich (ihnen )?helfen\b/, /\bam apparat$/],
}

const FR: Lexicon = {
  machine: {
    sure: [/\b(laisse[rz]?|laissez moi|laisser) (\S+ ){0,4}message\b/, /\bapres le (bip|signal|top)\b/, /\bmessagerie\b/, /\brepondeur\b/, /\bboite vocale\b/],
    hint: [/\b(pas|in) ?(disponible|joignable)\b/, /\bne (peut|peux|pouvons|suis) (\S+ ){0,3}(repondre|disponible|joignable)\b/, /\brappeler\S* des que\b/],
  },
  ivr: { sure: [/\b(tapez|appuyez sur|composez|faites) (\S+ ){0,3}(\d|un|deux|trois|quatre|cinq|zero|diese|etoile)\b/, /\bmenu principal\b/], hint: [/\bne quittez pas\b/, /\bappel (\S+ ){0,3}enregistre\b/, /\bveuillez patienter\b/] },
  screening: { sure: [/\b(dites|donnez|indiquez|enregistrez) (\S+ ){0,2}nom\b.*\b(raison|motif|pourquoi)\b/, /\bfiltrage d ?appels?\b/, /\bsi (cette|la) personne est disponible\b/], hint: [/\bqui est a l appareil\b/, /\b(raison|motif|objet) de (votre|l) appel\b/] },
  full: [/\b(messagerie|boite) (\S+ ){0,2}(est )?(pleine|saturee)\b/, /\bne peut plus recevoir\b/],
  tone: [/\b(bip|signal|top)\b/],
  human: [/\b(que|qu est ce que) (\S+ ){0,2}puis je (faire )?(pour vous|vous aider)\b/, /\bcomment puis je vous aider\b/, /\bque puis je\b/],
}

const ES: Lexicon = {
  machine: {
    sure: [/\b(deje|deja|dejar|dejanos|dejenos|dejeme|dejame) (\S+ ){0,4}(mensaje|recado)\b/, /\b(despues|tras|al oir) (de )?(la senal|el tono|el pitido)\b/, /\bbuzon\b/, /\bcontestador\b/],
    hint: [/\bno (esta|estoy|se encuentra|estamos) (\S+ ){0,2}disponible\b/, /\bno (puedo|puede|podemos) (\S+ ){0,2}(atender|contestar)\S*\b/],
  },
  ivr: { sure: [/\b(pulse|presione|marque|oprima) (\S+ ){0,3}(\d|uno|dos|tres|cuatro|cinco|cero|asterisco|almohadilla|numeral)\b/, /\bmenu principal\b/], hint: [/\bno cuelgue\b/, /\bllamada (\S+ ){0,3}grabada\b/, /\bpermanezca (a la espera|en linea)\b/] },
  screening: { sure: [/\b(diga|di|indique|grabe|graba) (\S+ ){0,2}nombre\b.*\b(motivo|por que|razon)\b/, /\bfiltro de llamadas\b/, /\bsi (esta|la) persona esta disponible\b/], hint: [/\bquien (llama|es|habla)\b/, /\b(motivo|razon) de (su|la|tu) llamada\b/] },
  full: [/\bbuzon (\S+ ){0,2}(lleno|saturado)\b/, /\bno (puede|admite) (\S+ ){0,2}mensajes\b/],
  tone: [/\b(senal|tono|pitido)\b/],
  human: [/\ben que (le |te )?(puedo|podemos) (ayudar|servir)\S*\b/, /\ben que (puedo|podemos) (ayudar|servir)\S*\b/],
}

const IT: Lexicon = {
  machine: {
    sure: [/\b(lasci|lasciate|lascia|lasciare|lasciateci) (\S+ ){0,4}messaggio\b/, /\bdopo (il|lo) (bip|segnale|tono)\b/, /\bsegreteria\b/, /\bcasella vocale\b/],
    hint: [/\bnon (e|sono|siamo) (\S+ ){0,3}(raggiungibile|disponibil[ei])\b/, /\bnon (posso|possiamo) (\S+ ){0,2}rispondere\b/],
  },
  ivr: { sure: [/\b(prema|premi|premere|digiti|digitare|digita) (\S+ ){0,3}(\d|uno|due|tre|quattro|cinque|zero|cancelletto|asterisco)\b/, /\bmenu principale\b/], hint: [/\b(resti|rimanga|attenda|attendere|restate) in linea\b/, /\bchiamata (\S+ ){0,3}registrata\b/] },
  screening: { sure: [/\b(dica|di|dire|registra|registri) (\S+ ){0,2}nome\b.*\b(motivo|perche)\b/, /\bfiltro (delle )?chiamate\b/, /\bse (questa|la) persona e disponibile\b/], hint: [/\bchi (parla|chiama)\b/, /\bmotivo della (chiamata|telefonata)\b/] },
  full: [/\b(casella|segreteria) (\S+ ){0,2}piena\b/],
  tone: [/\b(bip|segnale|tono)\b/],
  human: [/\b(come|in che cosa) posso (aiutar|esser)\S*\b/],
}

const NO: Lexicon = {
  machine: {
    sure: [/\b(legg|legge|etterlat|lese inn|les inn) (\S+ ){0,4}(beskjed|melding)\b/, /\better (pipetonen|tonen|pipet|signalet)\b/, /\b(telefonsvarer|mobilsvar|talepost|voicemail)\S*\b/],
    hint: [/\bikke (\S+ ){0,3}(tilgjengelig|svare|tilstede)\b/, /\bringer (deg )?tilbake\b/],
  },
  ivr: { sure: [/\b(trykk|tast) (\S+ ){0,3}(\d|en|ett|to|tre|fire|fem|null|firkant|stjerne)\b/, /\bhovedmeny\S*\b/], hint: [/\bvennligst vent\b/, /\bsamtalen (\S+ ){0,3}(tatt opp|tas opp)\b/, /\bapningstid\S*\b/] },
  screening: { sure: [/\b(si|oppgi|spill inn) (\S+ ){0,2}(navn|navnet)\b.*\b(hvorfor|grunn|arsak)\S*\b/, /\bsamtalefilter\S*\b/, /\bom (personen|denne personen) er tilgjengelig\b/], hint: [/\bhvem (er det|ringer|snakker jeg)\b/, /\bhva det gjelder\b/] },
  full: [/\b(postkassen|svareren|innboksen) er full\b/],
  tone: [/\b(pipetonen|tonen|pipet|signalet)\b/],
  human: [/\bhva kan jeg (hjelpe|gjore)\b/, /\bhvordan kan jeg hjelpe\b/],
}

const LEXICONS: Readonly<Record<string, Lexicon>> = { en: EN, de: DE, fr: FR, es: ES, it: IT, no: NO, nb: NO, nn: NO }

export const AMD_LANGUAGES: readonly string[] = ['en', 'de', 'fr', 'es', 'it', 'no']

/** Recognisers differ in accents and marks. */
export const plain = (text: string): string =>
  text.toLowerCase().replaceAll('ß', 'ss').replaceAll('ø', 'o').replaceAll('æ', 'ae').normalize('NFKD').replaceAll(/\p{M}/gu, '').replaceAll(/[^\p{L}\p{N}]+/gu, ' ').trim()

export type Sign = 'machine' | 'machine_ivr' | 'screening' | 'human'

/** All languages for a callee whose language is not known, and English everywhere: networks announce in it. */
function lexiconsFor(language: string | null): Lexicon[] {
  const own = language === null ? undefined : LEXICONS[language.slice(0, 2).toLowerCase()]
  return own ? [...new Set([own, EN])] : [EN, DE, FR, ES, IT, NO]
}

const says = (patterns: readonly RegExp[], text: string): boolean => patterns.some((pattern) => pattern.test(text))

/** What the words give away; null: nothing. A mailbox that also offers keys is a mailbox, an assistant that also takes messages an assistant. */
export function signIn(words: string, language: string | null, isLong: boolean): Sign | null {
  const text = plain(words)
  if (text === '') return null
  const lexicons = lexiconsFor(language)
  const some = (pick: (lexicon: Lexicon) => Words): boolean => lexicons.some((lexicon) => says(pick(lexicon).sure, text) || (isLong && says(pick(lexicon).hint, text)))
  if (some(({ screening }) => screening)) return 'screening'
  if (lexicons.some(({ machine, full }) => says(machine.sure, text) || says(full, text))) return 'machine'
  if (some(({ ivr }) => ivr)) return 'machine_ivr'
  if (lexicons.some(({ human }) => says(human, text))) return 'human'
  return some(({ machine }) => machine) ? 'machine' : null
}

/** It has said that nothing can be left. */
export const isFull = (words: string, language: string | null): boolean => lexiconsFor(language).some(({ full }) => says(full, plain(words)))

/** It has announced a tone. */
export const announcesTone = (words: string, language: string | null): boolean => lexiconsFor(language).some(({ tone }) => says(tone, plain(words)))
