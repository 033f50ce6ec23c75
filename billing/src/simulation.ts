import { seededChance, type Chance, type Micros } from '@trunkline/core'
import { accountsOf, audit, decide, emptyBook, post, type Book, type Command, type Decision, type Outcome } from './ledger.ts'

// A deterministic world around the ledger: workers that crash between any two steps and are replaced, two workers on the same turn,
// answers of the supplier that are learned late, holds that expire meanwhile, top-ups submitted twice, and strangers that settle
// and void at random. Time is a counter, chance is the seed.

export type SimulationReport = { seed: number; commits: number; crashes: number; expired: number; lateSettlements: number; faults: string[] }

type Turn = {
  id: string
  tenant: string
  estimateMicros: Micros
  actualMicros: Micros
  /** What the supplier will do with it, once. */
  fate: 'accepts' | 'rejects'
  /** Durable: an attempt to send was made. Written before the supplier is called, so that it is called once. */
  sending: boolean
  /** The supplier's log: the truth that the ledger is compared with. */
  billed: boolean
  /** A stranger also closes it at random; only the safety of the ledger is asked of it. */
  disturbed: boolean
  finished: boolean
}

type Step = Generator<void, void, void>

type World = {
  random: Chance
  book: Book
  nowMs: number
  turns: Turn[]
  topUps: Map<string, { tenant: string; amountMicros: Micros }>
  report: SimulationReport
  decide: typeof decide
}

const TENANTS = ['north', 'south', 'east'] as const
const HOLD_MS = 40
const MOST_STEPS = 20_000

/** Runs one seed to the end. Any fault is a broken promise of the ledger. `rules` is replaced only by tests that break it on purpose. */
export function simulateLedger(seed: number, rules: typeof decide = decide): SimulationReport {
  const random = seededChance(seed)
  const report: SimulationReport = { seed, commits: 0, crashes: 0, expired: 0, lateSettlements: 0, faults: [] }
  const world: World = { random, book: emptyBook(), nowMs: 0, turns: [], topUps: new Map(), report, decide: rules }
  world.turns = Array.from({ length: 4 + random.below(12) }, (_, n) => newTurn(world, n))
  let running: Step[] = [...world.turns.map((turn) => worker(world, turn)), topUps(world), strangers(world)]
  for (let step = 0; running.length > 0 && report.faults.length === 0; step++) {
    if (step > MOST_STEPS) report.faults.push('the world does not come to rest')
    running = advance(world, running)
  }
  if (report.faults.length === 0) finalChecks(world)
  return report
}

function newTurn({ random }: World, n: number): Turn {
  const estimateMicros = BigInt(random.below(50))
  // Mostly within the estimate; now and then the work costs more than was reserved.
  const actualMicros = random.happens(0.9) ? BigInt(random.below(Number(estimateMicros) + 1)) : estimateMicros + BigInt(random.below(20))
  return {
    id: `turn${n}`, tenant: random.pick(TENANTS), estimateMicros, actualMicros, fate: random.happens(0.8) ? 'accepts' : 'rejects',
    sending: false, billed: false, disturbed: random.happens(0.2), finished: false,
  }
}

/** One random process takes one step; it may die, be replaced, or get a rival that does the same work. */
function advance(world: World, running: Step[]): Step[] {
  const { random } = world
  world.nowMs += random.below(4)
  if (random.happens(0.15)) expireDue(world)
  const at = random.below(running.length)
  const ended = running[at]!.next().done === true
  if (ended) return running.filter((_, index) => index !== at)
  if (!random.happens(0.08)) return running
  world.report.crashes++
  const open = world.turns.filter((turn) => !turn.finished)
  // Whoever it was, the work it may have left is taken up by others; dropping the rest makes it a crash, keeping it a rival.
  const kept = random.happens(0.7) ? running.filter((_, index) => index !== at) : running
  return [...kept, ...(open.length > 0 ? [worker(world, random.pick(open))] : []), ...(kept === running ? [] : [recovery(world)])]
}

function submit(world: World, command: Command): Outcome {
  const before = accountsOf(world.book, command.tenant)
  const wasExpired = command.kind === 'settle' && world.book.holds.get(command.hold)?.state === 'expired'
  const decision = world.decide(world.book, command)
  const outcome = post(world.book, decision)
  world.report.commits++
  if (wasExpired && outcome === 'done') world.report.lateSettlements++
  checkCommit(world, command, decision, before.available)
  return outcome
}

function checkCommit(world: World, command: Command, decision: Decision, availableBefore: Micros): void {
  const { faults } = world.report
  const { available } = accountsOf(world.book, command.tenant)
  if (decision.outcome !== 'done' && available !== availableBefore) faults.push(`${command.kind} was ${decision.outcome} and changed the balance`)
  if (command.kind === 'hold' && decision.outcome === 'done' && available < 0n) faults.push(`a hold made ${command.tenant} negative`)
  faults.push(...audit(world.book))
}

/** The money of one turn, as the worker does it. Every `yield` is a place to crash. */
function* worker(world: World, turn: Turn): Step {
  yield
  if (!turn.sending) {
    if (!(yield* reserve(world, turn))) return
    // Fenced in Postgres: of two workers only one writes the row that says "sending".
    if (!turn.sending) {
      turn.sending = true
      yield
      turn.billed = turn.fate === 'accepts'
    }
  }
  yield
  yield* settleOrVoid(world, turn)
}

function* reserve(world: World, turn: Turn): Generator<void, boolean, void> {
  const hold: Command = { kind: 'hold', tenant: turn.tenant, key: `hold:${turn.id}`, hold: turn.id, amountMicros: turn.estimateMicros, expiresAtMs: world.nowMs + HOLD_MS }
  const outcome = submit(world, hold)
  if (outcome === 'insufficient') {
    // Work does not begin without cover, and nothing is owed: the turn is rejected, for now.
    if (!turn.sending) turn.finished = world.random.happens(0.5)
    return false
  }
  yield
  if (outcome === 'closed' && !turn.disturbed && world.book.holds.get(turn.id)?.state === 'expired' && !turn.sending) {
    turn.finished = true
    return false
  }
  return outcome === 'done' || outcome === 'replayed' || turn.sending
}

/** The supplier's answer is known now (its log is asked after a crash): the charge follows it. */
function* settleOrVoid(world: World, turn: Turn): Step {
  // Between "sending" and the answer another worker may stand; whoever comes here waits for the outcome.
  while (turn.fate === 'accepts' && !turn.billed && world.random.happens(0.9)) yield
  if (turn.fate === 'accepts') turn.billed = true
  const ids = { tenant: turn.tenant, hold: turn.id }
  if (turn.billed) submit(world, { kind: 'settle', ...ids, key: `settle:${turn.id}`, amountMicros: turn.actualMicros })
  else submit(world, { kind: 'void', ...ids, key: `void:${turn.id}` })
  yield
  turn.finished = true
}

/** The sweeper: every turn that was left in the middle gets a worker again, until it is finished. */
function* recovery(world: World): Step {
  for (const turn of world.turns) {
    yield
    if (!turn.finished) yield* worker(world, turn)
  }
}

function* topUps(world: World): Step {
  for (let n = 0; n < 12; n++) {
    yield
    const topUp = world.topUps.get(`top${n}`) ?? { tenant: world.random.pick(TENANTS), amountMicros: BigInt(1 + world.random.below(120)) }
    world.topUps.set(`top${n}`, topUp)
    const times = 1 + world.random.below(3)
    for (let time = 0; time < times; time++) submit(world, { kind: 'topup', key: `top${n}`, ...topUp })
  }
}

function* strangers(world: World): Step {
  const disturbed = world.turns.filter((turn) => turn.disturbed)
  for (let n = 0; n < 10 && disturbed.length > 0; n++) {
    yield
    const turn = world.random.pick(disturbed)
    // A small set of keys, so that keys are reused for what they were not made for.
    const key = world.random.pick([`settle:${turn.id}`, `void:${turn.id}`, `hold:${turn.id}`, `own${world.random.below(4)}`])
    const ids = { tenant: world.random.pick([turn.tenant, ...TENANTS]), hold: turn.id, key }
    const amountMicros = BigInt(world.random.below(60))
    submit(world, world.random.pick<Command>([
      { kind: 'settle', ...ids, amountMicros }, { kind: 'void', ...ids }, { kind: 'adjust', tenant: ids.tenant, key, amountMicros: -amountMicros },
    ]))
  }
}

function expireDue(world: World): void {
  for (const [hold, { tenant, state, expiresAtMs }] of world.book.holds) {
    if (state !== 'held' || expiresAtMs > world.nowMs) continue
    if (submit(world, { kind: 'expire', tenant, hold, nowMs: world.nowMs }) === 'done') world.report.expired++
  }
}

function runToEnd(step: Step): void {
  while (step.next().done !== true);
}

/** After the last crash: sweep, let everything expire, then the ledger must say exactly what the supplier's log says. */
function finalChecks(world: World): void {
  for (const turn of world.turns) if (turn.sending) runToEnd(settleOrVoid(world, turn))
  world.nowMs += HOLD_MS + 1
  expireDue(world)
  const { faults } = world.report
  const charges = [...world.book.transfers.values()].filter((transfer) => transfer.kind === 'settle')
  for (const turn of world.turns) {
    const charged = charges.filter((charge) => charge.hold === turn.id)
    if (charged.length > 1) faults.push(`${turn.id} was charged ${charged.length} times`)
    if (turn.disturbed) continue
    const expected = turn.billed ? turn.actualMicros : null
    if ((charged[0]?.amountMicros ?? null) !== expected) faults.push(`${turn.id}: the supplier billed ${expected}, the ledger charged ${charged[0]?.amountMicros ?? null}`)
  }
  for (const tenant of TENANTS) {
    const accounts = accountsOf(world.book, tenant)
    const spent = charges.filter((charge) => charge.tenant === tenant).reduce((total, charge) => total + charge.amountMicros, 0n)
    if (accounts.held !== 0n) faults.push(`${tenant} still holds ${accounts.held} after everything expired`)
    if (accounts.spent !== spent) faults.push(`${tenant} spent ${accounts.spent} and its charges are ${spent}`)
    const added = [...world.topUps.values()].filter((topUp) => topUp.tenant === tenant).reduce((total, topUp) => total + topUp.amountMicros, 0n)
    const adjusted = [...world.book.transfers.values()].filter((transfer) => transfer.kind === 'adjust' && transfer.tenant === tenant).reduce((total, transfer) => total + transfer.amountMicros, 0n)
    if (-accounts.funding !== added + adjusted) faults.push(`${tenant} was funded with ${-accounts.funding} instead of ${added + adjusted}`)
  }
}
