import { newId, Simulation, SIMULATIONS_BELL, type Id, type SimulatedCall } from '@trunkline/core'
import { openJson, sealJson, simulations, type Bell, type NumberRouting } from '@trunkline/db'
import { runOneCall, type OneCall, type OneCallDeps } from './one-call.ts'

export type RunnerDeps = OneCallDeps & { routing: NumberRouting; bell: Pick<Bell, 'listen'> }
export type SimulationRunner = {
  /** Simulated calls under way. */
  live(): number
  /** Gives what runs back, so that another process goes on after the last call that is over. */
  close(): Promise<void>
}

/** Simulations of this process at a time, and calls of one at a time: customers' calls have the rest of it. */
const AT_ONCE = 3
const CALLS_AT_ONCE = 4
const LEASE_MS = 30_000
const LOOK_MS = 5_000
/** A simulation whose processes died so often is itself the reason. */
const EPOCHS_MAX = 4

type Running = simulations.HeldSimulation & { tenantId: Id; stop: AbortController; done: Promise<void>; calls: number }

/** Runs the simulations that wait, one process each; a lease tells the others that it is looked after. */
export function createRunner(deps: RunnerDeps): SimulationRunner {
  const owner = newId()
  const running = new Map<Id, Running>()
  let closing = false
  let looking: Promise<void> | null = null

  async function look(): Promise<void> {
    await keep()
    if (closing) return
    for (const held of await deps.db.system('calls', (tx) => simulations.claim(tx, owner, LEASE_MS, AT_ONCE - running.size))) {
      const run: Running = { ...held, stop: new AbortController(), done: Promise.resolve(), calls: 0 }
      running.set(held.id, run)
      run.done = carryOut(deps, run)
        .catch((error: unknown) => fail(deps, run, error))
        // It may have been lost and claimed again meanwhile.
        .finally(() => running.get(held.id) === run && running.delete(held.id))
    }
  }

  /** What is cancelled, or somebody else's by now, stops here. */
  async function keep(): Promise<void> {
    const held = [...running.values()]
    const kept = await deps.db.system('calls', (tx) => simulations.keep(tx, held, LEASE_MS))
    for (const run of held) if (!kept.has(run.id)) run.stop.abort()
  }

  const glance = () => {
    looking ??= look()
      .catch((error: unknown) => deps.log.warn({ error }, 'simulations could not be looked for; trying again'))
      .finally(() => {
        looking = null
      })
  }
  const timer = setInterval(glance, LOOK_MS)
  const unlisten = deps.bell.listen(SIMULATIONS_BELL, glance)
  glance()

  return {
    live: () => [...running.values()].reduce((sum, run) => sum + run.calls, 0),
    async close() {
      closing = true
      clearInterval(timer)
      unlisten()
      await looking
      for (const run of running.values()) run.stop.abort()
      await Promise.all([...running.values()].map((run) => run.done))
    },
  }
}

async function carryOut(deps: RunnerDeps, run: Running): Promise<void> {
  if (run.epoch > EPOCHS_MAX) throw new Error('Its processes died too often')
  const kept = await deps.db.tenant(run.tenantId, (tx) => simulations.get(tx, run.id))
  const spec = Simulation.parse(kept.spec)
  const number = await deps.routing.numberForRouting(kept.numberId)
  if (number?.agent?.id !== kept.agentId) return void (await deps.db.system('calls', (tx) => simulations.end(tx, run, { status: 'failed', failure: 'The agent does not answer this number any more.' })))
  const before = await deps.db.tenant(run.tenantId, (tx) => simulations.results(tx, run.id))
  const results = before.map((sealed) => openJson(deps.keyring, sealed, run.tenantId) as SimulatedCall)
  const left = missing(spec, results).map((which): OneCall => ({ ...which, simulationId: run.id, spec, number, signal: run.stop.signal }))
  await Promise.all(Array.from({ length: Math.min(CALLS_AT_ONCE, left.length) }, () => takeTurns(deps, run, left, results)))
  if (run.stop.signal.aborted) return deps.db.system('calls', (tx) => simulations.release(tx, run))
  await deps.db.system('calls', (tx) => simulations.end(tx, run, { status: 'completed', passed: results.every(({ passed }) => passed) }))
}

/** A call that was under way when its process died is made again. */
function missing({ callers, repeat }: Simulation, results: readonly SimulatedCall[]): { caller: number; repetition: number }[] {
  const all = callers.flatMap((_, caller) => Array.from({ length: repeat }, (__, repetition) => ({ caller, repetition })))
  return all.filter(({ caller, repetition }) => !results.some((result) => result.caller === caller && result.repetition === repetition))
}

async function takeTurns(deps: RunnerDeps, run: Running, left: OneCall[], results: SimulatedCall[]): Promise<void> {
  for (let one = left.shift(); one !== undefined && !run.stop.signal.aborted; one = left.shift()) {
    run.calls += 1
    const result = await runOneCall(deps, one).finally(() => (run.calls -= 1))
    if (run.stop.signal.aborted) return
    const isOurs = await deps.db.system('calls', (tx) => simulations.addResult(tx, run, sealJson(deps.keyring, result, run.tenantId)))
    if (!isOurs) return run.stop.abort()
    results.push(result)
  }
}

/** What has nothing to do with the agent: no recogniser, a broken row. What it says is for the tenant; the rest is in the log. */
async function fail(deps: RunnerDeps, run: Running, error: unknown): Promise<void> {
  run.stop.abort()
  deps.log.error({ error, simulationId: run.id }, 'a simulation failed')
  const failure = error instanceof Error && 'code' in error ? error.message : 'The simulation could not be carried out.'
  await deps.db.system('calls', (tx) => simulations.end(tx, run, { status: 'failed', failure })).catch((problem: unknown) => deps.log.error({ error: problem, simulationId: run.id }, 'a failed simulation could not be ended'))
}
