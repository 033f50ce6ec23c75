import type { SpokenSpan } from '../tts/contract.ts'

/** When a word of a text is spoken, counted from the first sample of its sound. `estimated`: no engine measured it. */
export type SpokenWord = { charStart: number; charEnd: number; startMs: number; endMs: number; estimated: boolean }
/** What an engine told, measured or not. */
export type ToldSpan = SpokenSpan & { estimated: boolean }

type Token = { charStart: number; charEnd: number }
/** Null: no span tells. */
type Told = Token & { startMs: number; endMs: number; estimated: boolean } | (Token & { startMs: null })

/** Knows words in scripts without spaces too. */
const segmenter = new Intl.Segmenter(undefined, { granularity: 'word' })
/** One of these between two parts makes one word of them: "e-mail", "and/or", "9:30", "info@example.com". */
const JOINS = /^[-‐‑'’./:@&+_]$/u

/** The words of a text without the marks around them. */
export function wordsOf(text: string): Token[] {
  const words: Token[] = []
  let joinedBy: number | null = null
  for (const { segment, index, isWordLike } of segmenter.segment(text)) {
    const last = words.at(-1)
    if (!isWordLike) {
      joinedBy = last?.charEnd === index && JOINS.test(segment) ? index + segment.length : null
      continue
    }
    if (last && joinedBy === index) last.charEnd = index + segment.length
    else words.push({ charStart: index, charEnd: index + segment.length })
    joinedBy = null
  }
  return words
}

/**
 * When each word is spoken, by what the engine told. Where it told of several words at once, or of none, their time is divided by characters.
 * Words come in order and never overlap. `totalMs`: how long all of the text takes; null: not known, then `charsPerMs` has to do.
 */
export function wordTimes(text: string, spans: readonly ToldSpan[], totalMs: number | null, charsPerMs: number): SpokenWord[] {
  const tokens = wordsOf(text)
  let passed = 0
  const told = tokens.map((token, n) => {
    while (passed < spans.length && spans[passed]!.charEnd <= token.charStart) passed++
    return toldOf(token, tokens[n - 1]?.charEnd ?? 0, tokens[n + 1]?.charStart ?? text.length, over(token, spans, passed))
  })
  return inOrder(filled(told, text.length, totalMs, charsPerMs))
}

/** Spans come in order: those before `from` are behind the word. */
function over(token: Token, spans: readonly ToldSpan[], from: number): ToldSpan[] {
  const found: ToldSpan[] = []
  for (let n = from; n < spans.length && spans[n]!.charStart < token.charEnd; n++) if (spans[n]!.charEnd > token.charStart) found.push(spans[n]!)
  return found
}

/** A span's edge is the word's own when no other word lies in the span on that side. */
function toldOf(token: Token, afterChar: number, beforeChar: number, spans: readonly ToldSpan[]): Told {
  const [first, last] = [spans[0], spans.at(-1)]
  if (!first || !last) return { ...token, startMs: null }
  const [ownStart, ownEnd] = [first.charStart >= afterChar, last.charEnd <= beforeChar]
  return {
    ...token,
    startMs: ownStart ? first.startMs : within(first, token.charStart),
    endMs: ownEnd ? last.endMs : within(last, token.charEnd),
    estimated: !ownStart || !ownEnd || spans.some(({ estimated }) => estimated),
  }
}

const within = ({ charStart, charEnd, startMs, endMs }: ToldSpan, char: number): number => startMs + ((endMs - startMs) * (char - charStart)) / (charEnd - charStart)

/** Words that no span tells of share the time between their neighbours. */
function filled(told: readonly Told[], length: number, totalMs: number | null, charsPerMs: number): SpokenWord[] {
  const words: SpokenWord[] = []
  for (const [n, word] of told.entries()) {
    if (word.startMs !== null) {
      words.push(word)
      continue
    }
    const before = words.at(-1) ?? { charEnd: 0, endMs: 0 }
    const after = told.slice(n + 1).find((later) => later.startMs !== null)
    const untilChar = after?.charStart ?? length
    const untilMs = Math.max(before.endMs, after?.startMs ?? totalMs ?? before.endMs + (untilChar - before.charEnd) / charsPerMs)
    const at = (char: number): number => before.endMs + ((untilMs - before.endMs) * (char - before.charEnd)) / Math.max(1, untilChar - before.charEnd)
    words.push({ charStart: word.charStart, charEnd: word.charEnd, startMs: at(word.charStart), endMs: at(word.charEnd), estimated: true })
  }
  return words
}

/** Engines round, and their words overlap by a breath now and then. */
function inOrder(words: readonly SpokenWord[]): SpokenWord[] {
  let passedMs = 0
  return words.map((word) => {
    const startMs = Math.max(passedMs, word.startMs)
    passedMs = Math.max(startMs, word.endMs)
    return { ...word, startMs, endMs: passedMs }
  })
}
