import type { Answer } from '../carriers/contract.ts'
import type { CallInstructionInput } from '../carriers/instructions.ts'
import { response, type Dialect } from '../carriers/markup.ts'
import { parseInstructions } from '../carriers/parsing.ts'
import { document } from '../carriers/xml.ts'

/** A `<Connect><Stream>` is bidirectional by its nature and hears the inbound track only. */
const TWIML: Dialect = { stream: {}, dial: { answerOnBridge: true } }

export function twiml(instructions: readonly CallInstructionInput[]): string {
  return document(response(parseInstructions(instructions), TWIML))
}

export function answer(instructions: readonly CallInstructionInput[]): Answer {
  return { document: { contentType: 'text/xml; charset=utf-8', body: twiml(instructions) }, commands: [] }
}
