import type { Edit, Rule } from './rule.ts'

const drop = (from: number, to: number): Edit => ({ from, to, words: '' })

/** Every match of a group named `x` in the pattern is left out; without such groups the whole match is. */
const dropAll = (pattern: RegExp): Rule => (text) => [...text.matchAll(pattern)].map((match) => drop(match.index, match.index + match[0].length))

/** `[words](address)` and `![words](address)`: the words stay. */
const links: Rule = (text) =>
  [...text.matchAll(/!?\[([^\]\n]*)\]\([^)\s]*(?:\s+"[^"\n]*")?\)/gu)].flatMap((match) => {
    const wordsFrom = match.index + match[0].indexOf('[') + 1
    const wordsTo = wordsFrom + match[1]!.length
    return [drop(match.index, wordsFrom), drop(wordsTo, match.index + match[0].length)]
  })

/** `*` and `_` around words. Underscores inside words and stars between spaces are text. */
const emphasis = dropAll(/(?<![\p{L}\p{N}_])_{1,3}(?=\S)|(?<=\S)_{1,3}(?![\p{L}\p{N}_])|\*{1,3}(?=\S)|(?<=\S)\*{1,3}|~~(?=\S)|(?<=\S)~~/gu)

/** Between the cells of a table one takes a breath. */
const tableBars: Rule = (text) => [...text.matchAll(/^\s*\|.*\|\s*$/gmu)].flatMap((row) => [...row[0].matchAll(/\|/gu)].map((bar, index, bars) => ({ from: row.index + bar.index, to: row.index + bar.index + 1, words: index === 0 || index === bars.length - 1 ? '' : ',' })))

/** Emojis, with skin tones, joiners and variation selectors; flags; keycap marks. Not the signs ©, ® and ™, which are words. */
const emojis = dropAll(/(?![©®™])\p{Extended_Pictographic}(?:[\u{1F3FB}-\u{1F3FF}]|\uFE0F|\u20E3|\u200D\p{Extended_Pictographic})*|[\u{1F1E6}-\u{1F1FF}]{2}|[\uFE0F\u20E3\u200D]/gu)

export const MARKDOWN_RULES: readonly Rule[] = [
  // A fence with the name of its language; what it fences is text.
  dropAll(/^[ \t]*```[^\n`]*$/gmu),
  dropAll(/```/gu),
  links,
  dropAll(/^[ \t]*(?:[-*_][ \t]*){3,}$/gmu),
  dropAll(/^\s*\|(?:\s*:?-{2,}:?\s*\|)+\s*$/gmu),
  dropAll(/^[ \t]*#{1,6}[ \t]+/gmu),
  dropAll(/^[ \t]*(?:>[ \t]?)+/gmu),
  dropAll(/^[ \t]*[-*+•][ \t]+/gmu),
  dropAll(/<(?=https?:\/\/)|(?<=https?:\/\/[^\s<>]*)>/gu),
  dropAll(/<\/?[a-z][^<>\n]*>/giu),
  tableBars,
  emphasis,
  dropAll(/`/gu),
  emojis,
]
