import type { BuiltinTool } from '@trunkline/core'
import type { ModelTool } from '../vendors/contract.ts'

export const LEAD_FIELD_NAMES = ['name', 'email', 'phone', 'company', 'intent', 'urgency', 'budget'] as const
export type LeadFieldName = (typeof LEAD_FIELD_NAMES)[number]

/** What a turn asks the app to do beside answering. The app does it in the transaction that stores the reply. */
export type Effect =
  | { type: 'handover'; reason: string; summary: string | null }
  | { type: 'lead_field'; field: LeadFieldName; value: string }
  | { type: 'end_conversation'; reason: string | null }

type BuiltIn = ModelTool & { effect(args: Record<string, unknown>): Effect; output: string }

/** The arguments have passed their schema: a text or nothing. */
const optionalText = (value: unknown) => (typeof value === 'string' ? value : null)
const text = (maxLength: number, description: string) => ({ type: 'string', minLength: 1, maxLength, description })

export const BUILT_INS: Record<BuiltinTool['name'], BuiltIn> = {
  handover_to_human: {
    name: 'handover_to_human',
    description: 'Hands this conversation over to a person of the business. Use it when the customer asks for a person, is upset, or needs what you cannot do.',
    parameters: {
      type: 'object',
      properties: { reason: text(500, 'Why a person is needed'), summary: text(2000, 'What the person must know') },
      required: ['reason'],
      additionalProperties: false,
    },
    effect: (args) => ({ type: 'handover', reason: String(args.reason), summary: optionalText(args.summary) }),
    output: '{"ok":true,"note":"A person takes over. Tell the customer in one sentence."}',
  },
  capture_lead_field: {
    name: 'capture_lead_field',
    description: 'Notes one fact about the customer as soon as it is said.',
    parameters: {
      type: 'object',
      properties: { field: { type: 'string', enum: [...LEAD_FIELD_NAMES] }, value: text(1000, 'As the customer said it') },
      required: ['field', 'value'],
      additionalProperties: false,
    },
    effect: (args) => ({ type: 'lead_field', field: args.field as LeadFieldName, value: String(args.value) }),
    output: '{"ok":true}',
  },
  end_conversation: {
    name: 'end_conversation',
    description: 'Marks the conversation as finished, when nothing is left to do.',
    parameters: { type: 'object', properties: { reason: text(500, 'Why it is finished') }, additionalProperties: false },
    effect: (args) => ({ type: 'end_conversation', reason: optionalText(args.reason) }),
    output: '{"ok":true,"note":"Say goodbye in one sentence."}',
  },
}
