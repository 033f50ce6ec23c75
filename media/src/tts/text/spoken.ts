import { SpokenText } from './offsets.ts'
import { CONTACT_RULES } from './contacts.ts'
import { MARKDOWN_RULES } from './markdown.ts'
import { NUMBER_RULES } from './numbers.ts'
import type { Edit } from './rule.ts'

/** What an engine wants to be told in words. Markdown and emojis are taken out for all of them. */
export type SpokenForm = {
  language: string | null
  /** E-mail addresses, web addresses and telephone numbers as one says them. */
  contacts: boolean
  /** Numbers, percentages and amounts in words: for engines that read none. */
  numbers: boolean
}

/** The text of a chunk as it is said, and the way back to it. Nothing but spaces when nothing in it can be said. */
export function spokenOf(text: string, form: SpokenForm): SpokenText {
  const rules = [...MARKDOWN_RULES, ...(form.contacts ? CONTACT_RULES : []), ...(form.numbers ? NUMBER_RULES : [])]
  const edits: Edit[] = []
  for (const rule of rules) for (const edit of rule(text, form.language)) if (!edits.some((other) => edit.from < other.to && other.from < edit.to)) edits.push(edit)
  edits.sort((a, b) => a.from - b.from)
  return apply(text, edits)
}

function apply(text: string, edits: readonly Edit[]): SpokenText {
  const spoken = new SpokenText()
  let at = 0
  for (const { from, to, words } of edits) {
    spoken.keep(text, at, from)
    spoken.say(words, from, to)
    at = to
  }
  spoken.keep(text, at, text.length)
  return spoken
}

/** Is there a letter or a digit in it? */
export const isSpeakable = (text: string): boolean => /[\p{L}\p{N}]/u.test(text)
