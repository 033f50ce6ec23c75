/**
 * LeadFields as a strict JSON schema in the subset that strict mode takes: every property required, nothing additional, "not said" as
 * null in the type (structured outputs guide). A test holds it against the zod schema.
 */
const text = (description: string) => ({ type: ['string', 'null'], description })
const choice = (values: string[], description: string) => ({ type: ['string', 'null'], enum: [...values, null], description })

const properties = {
  name: text('Name of the customer'),
  email: text('E-mail address of the customer'),
  phone: text('Phone number, with country code if it was said'),
  company: text('Company or organisation of the customer'),
  intent: text('What the customer wants, in one sentence'),
  urgency: choice(['low', 'medium', 'high'], 'How soon they need it'),
  budget: text('Budget as they said it'),
  fit: choice(['poor', 'fair', 'good', 'excellent'], 'How well the wish fits what the business offers; null if that is not known'),
  engagement: choice(['low', 'medium', 'high'], 'How much the customer takes part'),
  demoDatetime: text('ISO 8601 with offset, e.g. 2026-11-24T10:00:00+01:00; the time that was agreed'),
  smartNotification: text('One sentence for the person who follows up'),
  evidenceMessageIds: { type: 'array', items: { type: 'string' }, description: 'Ids of the messages the values come from' },
}

export const LEAD_SCHEMA: Record<string, unknown> = { type: 'object', properties, required: Object.keys(properties), additionalProperties: false }
