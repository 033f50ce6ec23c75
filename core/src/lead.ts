import { z } from 'zod'

const text = (max: number) => z.string().max(max).nullable()

/** What extraction may find in a conversation. Null means "not said". Strict: nothing else is accepted from a model. */
export const LeadFields = z.strictObject({
  name: text(255),
  email: text(320),
  phone: text(64),
  company: text(255),
  intent: text(1000),
  urgency: z.enum(['low', 'medium', 'high']).nullable(),
  budget: text(255),
  fit: z.enum(['poor', 'fair', 'good', 'excellent']).nullable(),
  engagement: z.enum(['low', 'medium', 'high']).nullable(),
  /** ISO 8601 with zone, when the customer agreed to a time. */
  demoDatetime: z.iso.datetime({ offset: true }).nullable(),
  /** One sentence for the person who will follow up. */
  smartNotification: text(1000),
  evidenceMessageIds: z.array(z.uuid()).max(100),
})
export type LeadFields = z.infer<typeof LeadFields>
