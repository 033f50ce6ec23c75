import { formatCredits } from '@trunkline/core'
import { z } from 'zod'
import { readCall, type CallFacts } from './call-facts.ts'
import type { Town } from './town.ts'

export type DayFacts = {
  call: CallFacts
  conversations: { id: string; contact: string; channel: string; handler: string; messages: { direction: string; author: string; status: string; text: string }[] }[]
  leads: { fields: Record<string, string>; evidence: number; extractedBy: string }[]
  ledger: { lines: { memo: string; what: string; credits: string }[]; available: string; balanced: boolean }
  counts: Record<string, number>
  faults: string[]
}

const Conversations = z.object({ data: z.array(z.object({ id: z.string(), channel: z.string(), handler: z.string(), contact_name: z.string().nullable() })) })
const Messages = z.object({
  data: z.array(z.object({ id: z.string(), seq: z.number(), direction: z.string(), author: z.string(), status: z.string(), turn_id: z.string().nullable(), content: z.object({ kind: z.string(), text: z.string().optional(), title: z.string().optional() }).loose() })),
})
const Leads = z.object({ data: z.array(z.object({ evidence_message_ids: z.array(z.string()), extracted_by: z.string() }).catchall(z.union([z.string(), z.number(), z.array(z.string())]).nullable())) })
const Transfers = z.object({
  data: z.array(
    z.object({ kind: z.string(), memo: z.string(), amount: z.object({ micros: z.string() }).loose(), entries: z.array(z.object({ account: z.string(), amount: z.object({ micros: z.string() }).loose() }).loose()) }).loose(),
  ),
})
const Credits = z.object({ available: z.object({ micros: z.string() }), held: z.object({ micros: z.string() }), spent: z.object({ micros: z.string() }) })

/** Reads the day through the public API, as its owner would, and checks what was promised. `recordingPath`: where the call's recording goes. */
export async function readDay(town: Town, recordingPath: string): Promise<DayFacts> {
  const call = await readCall(town, recordingPath)
  const conversations = await readConversations(town)
  const leads = await readLeads(town)
  const { ledger, charged, moneyFaults } = await readLedger(town)
  const sends = town.sandbox.journal.sends({}).filter((entry) => entry.outcome !== 'refused')
  const doubled = town.sandbox.journal.duplicates({}).size
  const messages = conversations.flatMap((conversation) => conversation.messages)
  const counts = {
    conversations: conversations.length,
    received: messages.filter((message) => message.direction === 'inbound').length,
    sent: sends.length,
    doubled,
    unanswered: messages.filter((message) => message.direction === 'inbound' && !['answered', 'received'].includes(message.status)).length,
    leads: leads.length,
    charges: charged,
    mails: town.sandbox.mail.list().length,
    calls: 1,
    turns: call.turns.length,
    interruptions: call.said.filter((said) => said.cut).length,
    recording_seconds: Math.round(call.recording.seconds),
  }
  const faults = [
    ...moneyFaults,
    ...call.faults,
    ...(doubled > 0 ? [`${doubled} messages were sent twice`] : []),
    ...(counts.unanswered > 0 ? [`${counts.unanswered} messages were not handled`] : []),
    ...(counts.leads === 0 ? ['no lead was found'] : []),
    ...(counts.mails === 0 ? ['no verification mail arrived'] : []),
  ]
  return { call, conversations, leads, ledger, counts, faults }
}

async function readConversations(town: Town): Promise<DayFacts['conversations']> {
  const { data } = Conversations.parse(await town.api.get('/v1/conversations?limit=50'))
  // A call's is shown on its own: with times, and with what was not heard.
  const read = data.filter(({ channel }) => channel !== 'voice').map(async (conversation) => {
    const { data: messages } = Messages.parse(await town.api.get(`/v1/conversations/${conversation.id}/messages?limit=100`))
    return {
      id: conversation.id,
      contact: conversation.contact_name ?? 'Visitor',
      channel: conversation.channel,
      handler: conversation.handler,
      messages: messages.toSorted((a, b) => a.seq - b.seq).map(({ direction, author, status, content }) => ({ direction, author, status, text: content.text ?? content.title ?? `[${content.kind}]` })),
    }
  })
  return (await Promise.all(read)).toReversed()
}

const LEAD_FIELDS = ['name', 'email', 'phone', 'company', 'intent', 'urgency', 'budget', 'fit', 'engagement', 'demo_datetime', 'smart_notification']

async function readLeads(town: Town): Promise<DayFacts['leads']> {
  const { data } = Leads.parse(await town.api.get('/v1/leads'))
  return data.map((lead) => ({
    fields: Object.fromEntries(LEAD_FIELDS.flatMap((name) => (typeof lead[name] === 'string' ? [[name, lead[name]]] : []))),
    evidence: lead.evidence_message_ids.length,
    extractedBy: lead.extracted_by,
  })).toSorted((a, b) => Object.keys(b.fields).length - Object.keys(a.fields).length)
}

async function readLedger(town: Town): Promise<{ ledger: DayFacts['ledger']; charged: number; moneyFaults: string[] }> {
  const { data } = Transfers.parse(await town.api.get('/v1/credits/transfers?limit=100'))
  const credits = Credits.parse(await town.api.get('/v1/credits'))
  const unbalanced = data.filter((transfer) => transfer.entries.reduce((sum, entry) => sum + BigInt(entry.amount.micros), 0n) !== 0n)
  const settled = data.filter((transfer) => transfer.kind === 'settle')
  const spent = settled.reduce((sum, transfer) => sum + BigInt(transfer.amount.micros), 0n)
  const moneyFaults = [
    ...(unbalanced.length > 0 ? [`${unbalanced.length} transfers do not balance`] : []),
    ...(spent !== BigInt(credits.spent.micros) ? ['the charges do not add up to what was spent'] : []),
    ...(credits.held.micros !== '0' ? ['credits are still held'] : []),
  ]
  const shown = data.filter((transfer) => ['topup', 'settle', 'void'].includes(transfer.kind)).toReversed()
  const lines = shown.map((transfer) => ({ memo: transfer.memo, what: transfer.kind, credits: `${transfer.kind === 'settle' ? '-' : ''}${formatCredits(BigInt(transfer.amount.micros))}` }))
  return { ledger: { lines, available: formatCredits(BigInt(credits.available.micros)), balanced: unbalanced.length === 0 }, charged: settled.length, moneyFaults }
}
