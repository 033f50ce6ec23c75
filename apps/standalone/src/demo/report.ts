import pc from 'picocolors'
import { printCall } from './call-report.ts'
import type { DayFacts } from './facts.ts'
import { heading, SIDE, WIDTH, wrap } from './page.ts'

const MARKS: Record<string, string> = { read: '✓✓', delivered: '✓✓', sent: '✓', answered: '', failed: '✗', unknown: '?', parked: '⏸' }

/** The day on one page, for people. */
export function printReport(facts: DayFacts): void {
  heading('Conversations')
  for (const conversation of facts.conversations) {
    console.log(`\n${pc.bold(conversation.contact)} ${pc.dim(`on ${conversation.channel}${conversation.handler === 'human' ? ', now with a person' : ''}`)}`)
    for (const message of conversation.messages) printMessage(message)
  }
  printCall(facts.call)
  heading(facts.leads.length === 1 ? 'Lead' : 'Leads')
  for (const lead of facts.leads) {
    console.log('')
    for (const [name, value] of Object.entries(lead.fields)) wrap(value, WIDTH - 22).forEach((line, index) => console.log(`  ${pc.dim((index === 0 ? name : '').padEnd(20))}${line}`))
    console.log(`  ${pc.dim('evidence'.padEnd(20))}${lead.evidence} ${lead.evidence === 1 ? 'message' : 'messages'}, found by ${lead.extractedBy}`)
  }
  heading('Ledger')
  console.log('')
  for (const line of facts.ledger.lines) console.log(`  ${line.memo.padEnd(26)}${pc.dim(line.what.padEnd(10))}${sixDigits(line.credits).padStart(14)}`)
  console.log(pc.dim(`  ${'─'.repeat(50)}`))
  console.log(`  ${'available'.padEnd(36)}${pc.bold(sixDigits(facts.ledger.available).padStart(14))}`)
  console.log(pc.dim(`  every transfer sums to zero: ${facts.ledger.balanced ? 'yes' : 'NO'}`))
}

/** Amounts stand under each other. */
const sixDigits = (credits: string) => {
  const [whole, fraction = ''] = credits.split('.')
  return `${whole}.${fraction.padEnd(6, '0')}`
}

type Message = DayFacts['conversations'][number]['messages'][number]

/** Customers on the left, the business on the right. */
function printMessage(message: Message): void {
  const inbound = message.direction === 'inbound'
  const lines = wrap(message.text, SIDE)
  const indent = inbound ? '  ' : ' '.repeat(WIDTH - SIDE)
  const paint = inbound ? pc.white : message.author === 'human' ? pc.yellow : pc.green
  lines.forEach((line, index) => {
    const mark = index === lines.length - 1 ? (MARKS[message.status] ?? message.status) : ''
    console.log(`${indent}${paint(line)}${mark === '' ? '' : pc.dim(` ${mark}`)}`)
  })
}
