import type { leads } from '@trunkline/db'
import { stringify } from 'csv-stringify'
import { Readable } from 'node:stream'

const COLUMNS = {
  id: 'id', status: 'status', name: 'name', email: 'email', phone: 'phone', company: 'company', intent: 'intent', urgency: 'urgency', budget: 'budget', fit: 'fit', engagement: 'engagement',
  demoDatetime: 'demo_datetime', smartNotification: 'smart_notification', conversationId: 'conversation_id', numberId: 'number_id', contactId: 'contact_id', extractedBy: 'extracted_by',
  createdAt: 'created_at', updatedAt: 'updated_at',
} as const satisfies Partial<Record<keyof leads.Lead, string>>

/**
 * Leads as RFC 4180 lines, page after page: memory does not grow with the export. Customers wrote these values, so a cell
 * that a spreadsheet would run as a formula is made text (owasp.org/www-community/attacks/CSV_Injection).
 */
export function leadsAsCsv(pages: AsyncIterable<leads.Lead[]>): Readable {
  const csv = stringify({ header: true, columns: COLUMNS, escape_formulas: true, record_delimiter: 'windows', cast: { date: (date) => date.toISOString() } })
  const rows = Readable.from(flatten(pages))
  rows.on('error', (error) => csv.destroy(error))
  csv.on('close', () => rows.destroy())
  return rows.pipe(csv)
}

async function* flatten(pages: AsyncIterable<leads.Lead[]>): AsyncGenerator<leads.Lead> {
  for await (const page of pages) yield* page
}
