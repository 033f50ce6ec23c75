import { z } from 'zod'

export const TokenizerFile = z.object({ model: z.object({ vocab: z.record(z.string(), z.number().int()) }), added_tokens: z.array(z.object({ id: z.number().int(), content: z.string(), special: z.boolean().optional() })).default([]) })

/** Tokens to text. Whisper's are pieces of UTF-8 (byte-level BPE), so a character may lie in two of them. */
export class Vocabulary {
  readonly #bytes: (Uint8Array | undefined)[] = []
  readonly #special = new Map<string, number>()

  constructor({ model, added_tokens }: z.infer<typeof TokenizerFile>) {
    const alphabet = byteAlphabet()
    for (const [token, id] of Object.entries(model.vocab)) this.#bytes[id] = bytesOf(token, alphabet)
    for (const { id, content } of added_tokens) {
      this.#special.set(content, id)
      this.#bytes[id] = undefined
    }
  }

  /** `<|de|>`, `<|notimestamps|>`, ...; null: this model has none. */
  special(token: string): number | null {
    return this.#special.get(token) ?? null
  }

  /** Special tokens say nothing. */
  text(ids: readonly number[]): string {
    return Buffer.concat(ids.map((id) => this.#bytes[id] ?? new Uint8Array(0))).toString('utf8')
  }
}

/**
 * GPT-2's way to write any byte as a visible character (openai/gpt-2, encoder.py): printable ones stand for themselves, the others for what
 * follows from U+0100 on.
 */
function byteAlphabet(): Map<string, number> {
  const alphabet = new Map<string, number>()
  let next = 0x100
  for (let byte = 0; byte < 256; byte++) {
    const isPlain = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae
    alphabet.set(String.fromCodePoint(isPlain ? byte : next++), byte)
  }
  return alphabet
}

function bytesOf(token: string, alphabet: ReadonlyMap<string, number>): Uint8Array | undefined {
  const bytes = Array.from(token, (char) => alphabet.get(char))
  return bytes.some((byte) => byte === undefined) ? undefined : Uint8Array.from(bytes as number[])
}
