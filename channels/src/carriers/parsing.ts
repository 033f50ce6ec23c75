import type { ZodType } from 'zod'
import { AppError, type ErrorCode } from '@trunkline/core'
import { CallInstructions, type CallInstruction, type CallInstructionInput } from './instructions.ts'

/** Input of ours, checked before a carrier sees it, so that the fault is told by name. Throws AppError `code` with the path. */
export function checked<Value>(schema: ZodType<Value>, value: unknown, where: string, code: ErrorCode = 'invalid_request'): Value {
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]!
  throw new AppError(code, { message: `Not usable for a call: ${issue.message}.`, param: [where, ...issue.path].filter((part) => part !== '').join('.') })
}

export const parseInstructions = (instructions: readonly CallInstructionInput[]): CallInstruction[] => checked(CallInstructions, instructions, 'instructions')
