/** `text.slice(from, to)` is said as `words`. */
export type Edit = { from: number; to: number; words: string }
/** Finds what is written in its own way. Edits of earlier rules win over those of later ones. */
export type Rule = (text: string, language: string | null) => Edit[]
