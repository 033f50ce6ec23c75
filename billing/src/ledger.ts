import type { Micros } from '@trunkline/core'

// The rules of the ledger as a pure model. Postgres runs the same rules set by set (db/src/ledger); a test runs the same
// commands against both. `decide` only reads the book, `post` writes what was decided: a crash is a decision that is not posted.

export type Account = 'funding' | 'available' | 'held' | 'spent'
export type HoldState = 'held' | 'settled' | 'voided' | 'expired'

export type Command =
  | { kind: 'topup' | 'adjust'; tenant: string; key: string; amountMicros: Micros }
  | { kind: 'hold'; tenant: string; key: string; hold: string; amountMicros: Micros; expiresAtMs: number }
  | { kind: 'settle'; tenant: string; key: string; hold: string; amountMicros: Micros }
  | { kind: 'void'; tenant: string; key: string; hold: string }
  | { kind: 'expire'; tenant: string; hold: string; nowMs: number }

/** `closed`: the hold of this key exists and reserves nothing any more. `refused`: the hold's state does not allow it. */
export type Outcome = 'done' | 'replayed' | 'closed' | 'insufficient' | 'refused' | 'mismatch'

export type Entry = { account: Account; amountMicros: Micros }
export type Transfer = { kind: 'topup' | 'adjust' | 'hold' | 'settle' | 'void'; tenant: string; key: string; hold: string | null; amountMicros: Micros; entries: Entry[] }
export type HoldRecord = { tenant: string; amountMicros: Micros; state: HoldState; expiresAtMs: number }
export type Decision = { outcome: Outcome; transfer?: Transfer; hold?: { id: string; record: HoldRecord } }

export type Book = {
  accounts: Map<string, Record<Account, Micros>>
  holds: Map<string, HoldRecord>
  /** By tenant and idempotency key. */
  transfers: Map<string, Transfer>
}

export const emptyBook = (): Book => ({ accounts: new Map(), holds: new Map(), transfers: new Map() })

const NOTHING: Readonly<Record<Account, Micros>> = { funding: 0n, available: 0n, held: 0n, spent: 0n }

export const accountsOf = (book: Book, tenant: string): Readonly<Record<Account, Micros>> => book.accounts.get(tenant) ?? NOTHING

export const transferKey = (tenant: string, key: string): string => `${tenant} ${key}`

/** What the command would do to the book. Changes nothing. */
export function decide(book: Book, command: Command): Decision {
  switch (command.kind) {
    case 'topup':
    case 'adjust': return decideFunding(book, command)
    case 'hold': return decideHold(book, command)
    case 'settle': return decideClosing(book, command, 'settled', command.amountMicros)
    case 'void': return decideClosing(book, command, 'voided', 0n)
    case 'expire': return decideExpiry(book, command)
  }
}

/** Writes a decision. Answers its outcome. */
export function post(book: Book, decision: Decision): Outcome {
  if (decision.hold) book.holds.set(decision.hold.id, decision.hold.record)
  if (decision.transfer) {
    const { tenant, key, entries } = decision.transfer
    book.transfers.set(transferKey(tenant, key), decision.transfer)
    const accounts = { ...accountsOf(book, tenant) }
    for (const entry of entries) accounts[entry.account] += entry.amountMicros
    book.accounts.set(tenant, accounts)
  }
  return decision.outcome
}

function entriesOf(amounts: Partial<Record<Account, Micros>>): Entry[] {
  return (Object.entries(amounts) as [Account, Micros][]).flatMap(([account, amountMicros]) => (amountMicros === 0n ? [] : [{ account, amountMicros }]))
}

function decideFunding(book: Book, command: Extract<Command, { kind: 'topup' | 'adjust' }>): Decision {
  const { kind, tenant, key, amountMicros } = command
  const known = book.transfers.get(transferKey(tenant, key))
  if (known) return { outcome: known.kind === kind && known.amountMicros === amountMicros ? 'replayed' : 'mismatch' }
  if (amountMicros < 0n && accountsOf(book, tenant).available + amountMicros < 0n) return { outcome: 'insufficient' }
  return { outcome: 'done', transfer: { kind, tenant, key, hold: null, amountMicros, entries: entriesOf({ funding: -amountMicros, available: amountMicros }) } }
}

function decideHold(book: Book, command: Extract<Command, { kind: 'hold' }>): Decision {
  const { tenant, key, amountMicros, expiresAtMs } = command
  const known = book.transfers.get(transferKey(tenant, key))
  const record = book.holds.get(command.hold)
  if (known || record) {
    const same = known?.kind === 'hold' && known.hold === command.hold && known.amountMicros === amountMicros
    return { outcome: !same ? 'mismatch' : record?.state === 'held' ? 'replayed' : 'closed' }
  }
  if (accountsOf(book, tenant).available < amountMicros) return { outcome: 'insufficient' }
  return {
    outcome: 'done',
    hold: { id: command.hold, record: { tenant, amountMicros, state: 'held', expiresAtMs } },
    transfer: { kind: 'hold', tenant, key, hold: command.hold, amountMicros, entries: entriesOf({ available: -amountMicros, held: amountMicros }) },
  }
}

/** A settlement of an expired hold still charges, from `available`: expiry is a guess, the supplier's bill is a fact. */
function decideClosing(book: Book, command: Extract<Command, { kind: 'settle' | 'void' }>, becomes: 'settled' | 'voided', chargedMicros: Micros): Decision {
  const { kind, tenant, key, hold } = command
  const known = book.transfers.get(transferKey(tenant, key))
  if (known) return { outcome: known.kind === kind && known.hold === hold && (kind === 'void' || known.amountMicros === chargedMicros) ? 'replayed' : 'mismatch' }
  const record = book.holds.get(hold)
  const open = record?.tenant === tenant && (record.state === 'held' || (record.state === 'expired' && kind === 'settle'))
  return open ? close(command, record, becomes, chargedMicros) : { outcome: 'refused' }
}

function decideExpiry(book: Book, command: Extract<Command, { kind: 'expire' }>): Decision {
  const record = book.holds.get(command.hold)
  if (record?.tenant !== command.tenant || record.state !== 'held' || record.expiresAtMs > command.nowMs) return { outcome: 'refused' }
  return close({ kind: 'void', tenant: command.tenant, key: `expire:${command.hold}`, hold: command.hold }, record, 'expired', 0n)
}

function close(command: { kind: 'settle' | 'void'; tenant: string; key: string; hold: string }, record: HoldRecord, becomes: HoldState, chargedMicros: Micros): Decision {
  const reserved = record.state === 'held' ? record.amountMicros : 0n
  return {
    outcome: 'done',
    hold: { id: command.hold, record: { ...record, state: becomes } },
    transfer: {
      ...command,
      amountMicros: command.kind === 'settle' ? chargedMicros : reserved,
      entries: entriesOf({ held: -reserved, spent: chargedMicros, available: reserved - chargedMicros }),
    },
  }
}

/** Rebuilds every sum from the transfers and says in words what does not add up; empty when all is well. */
export function audit(book: Book): string[] {
  const faults: string[] = []
  const rebuilt = new Map<string, Record<Account, Micros>>()
  for (const { tenant, key, entries } of book.transfers.values()) {
    if (entries.reduce((total, entry) => total + entry.amountMicros, 0n) !== 0n) faults.push(`transfer ${key} does not balance`)
    const accounts = rebuilt.get(tenant) ?? { ...NOTHING }
    for (const entry of entries) accounts[entry.account] += entry.amountMicros
    rebuilt.set(tenant, accounts)
  }
  for (const [tenant, accounts] of book.accounts) {
    const open = [...book.holds.values()].filter((hold) => hold.tenant === tenant && hold.state === 'held').reduce((total, hold) => total + hold.amountMicros, 0n)
    if (accounts.held !== open) faults.push(`${tenant} holds ${accounts.held} and its open holds are ${open}`)
    if (accounts.spent < 0n) faults.push(`${tenant} has spent less than nothing`)
    for (const [account, amount] of Object.entries(accounts)) {
      if ((rebuilt.get(tenant) ?? NOTHING)[account as Account] !== amount) faults.push(`${tenant} ${account} differs from its entries`)
    }
  }
  return faults
}
