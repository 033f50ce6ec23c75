/** About four characters are a token; exactness is nobody's business here, but it is never zero for text. */
export const countTokens = (text: string): number => (text.length === 0 ? 0 : Math.ceil(text.length / 4))

/** Pieces of some words each, that join to the text again; `tokensPerDelta` bounds the number of stream events. */
export function chunk(text: string, tokensPerDelta: number): string[] {
  const size = Math.max(1, tokensPerDelta * 4)
  const pieces: string[] = []
  let start = 0
  while (start < text.length) {
    let end = Math.min(text.length, start + size)
    const space = text.indexOf(' ', end)
    if (end < text.length) end = space === -1 || space - end > 12 ? safeEnd(text, end) : space
    pieces.push(text.slice(start, end))
    start = end
  }
  return pieces
}

/** Never between the two halves of a surrogate pair. */
function safeEnd(text: string, end: number): number {
  const code = text.charCodeAt(end - 1)
  return code >= 0xd800 && code <= 0xdbff ? end + 1 : end
}
