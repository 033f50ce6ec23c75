import type { Id, Micros } from '@trunkline/core'
import type { Tx } from '../tenancy.ts'
import type { Call, TransferState } from './contract.ts'
import { end, type EndedCall } from './end.ts'
import { note, unwish } from './live.ts'

/** What becomes of a call that is put through to somebody: how far it has come, what nobody confirmed, and how it ends. */

const ORDER: readonly TransferState[] = ['asked', 'accepted', 'ringing', 'answered']

/** Further than before; never back, and only while it is wished for. False: it was as far already, or nobody wants it any more. */
export async function transferring(tx: Tx, callId: Id, state: TransferState): Promise<boolean> {
  const before = ORDER.slice(0, ORDER.indexOf(state))
  const { rowCount } = await tx.query("UPDATE calls SET transfer = $2 WHERE id = $1 AND ended_at IS NULL AND wish = 'transfer' AND transfer = ANY ($3)", [callId, state, before], 'calls_transferring')
  return rowCount === 1
}

/** A carrier answers a command, or the one who gave it gives it up, in less. */
const DOUBT_SECONDS = 25

/** A stream that a carrier was asked for is there in less. */
const STRANDED_SECONDS = 10
/** A caller who has heard nothing for so long is not there any more. */
const HOPELESS_SECONDS = 60

/** `doubtful`: was to be put through, and no answer and no news came; whoever asked is gone, too. `stranded`: is to come back, and nobody has its sound; `hopeless`: for too long. */
export type StuckCall = { callId: Id; kind: 'doubtful' | 'stranded' | 'hopeless' }

/** Calls in which nobody is heard. The longest first. */
export async function stuck(tx: Tx, limit: number): Promise<StuckCall[]> {
  const { rows } = await tx.query<{ id: Id; kind: StuckCall['kind'] }>(
    `SELECT id, CASE WHEN wish = 'transfer' THEN 'doubtful' WHEN transfer_at < now() - make_interval(secs => $3::float8) THEN 'hopeless' ELSE 'stranded' END AS kind
     FROM calls WHERE ended_at IS NULL AND ((wish = 'transfer' AND transfer = 'asked' AND parted_at IS NULL AND transfer_at < now() - make_interval(secs => $1::float8))
       OR (wish = 'return' AND lease_owner IS NULL AND transfer_at < now() - make_interval(secs => $2::float8))) ORDER BY transfer_at LIMIT $4`,
    [DOUBT_SECONDS, STRANDED_SECONDS, HOPELESS_SECONDS, limit],
    'calls_stuck',
  )
  return rows.map((row) => ({ callId: row.id, kind: row.kind }))
}

/**
 * The command failed, and it is noted why the caller is the agent's again. `stays`: the carrier certainly did nothing, and the sound was never
 * away; else it is to come back. False: there was news of the other phone meanwhile, or somebody else has given it up.
 */
export async function transferFailed(tx: Tx, callId: Id, { stays, data }: { stays: boolean; data: Record<string, unknown> }): Promise<boolean> {
  if (stays) await unwish(tx, callId, ['transfer'])
  else if (!(await giveUpTransfer(tx, callId))) return false
  await note(tx, callId, [{ kind: 'transfer', atMs: null, data: { outcome: 'failed', ...data } }])
  return true
}

/** Nobody knows whether it was done, and nobody was heard of: the call is the agent's again. False: there was news, or somebody else has given it up. */
export async function giveUpTransfer(tx: Tx, callId: Id): Promise<boolean> {
  const { rowCount } = await tx.query("UPDATE calls SET wish = 'return', transfer = NULL, transfer_at = now() WHERE id = $1 AND ended_at IS NULL AND wish = 'transfer' AND transfer = 'asked'", [callId], 'calls_give_up_transfer')
  return rowCount === 1
}

/** What is told of the other leg comes within that time. */
const PARTING_SECONDS = 5

/** The carrier says that it is over while the other phone rings, as far as we know: what is on its way decides. False: it is known, or a process has the call. */
export async function part(tx: Tx, callId: Id, { detail, at }: { detail: string; at: Date }): Promise<boolean> {
  const { rowCount } = await tx.query(
    `UPDATE calls SET parted_at = coalesce(parted_at, $3), end_detail = $2, lease_until = now() + interval '${PARTING_SECONDS} seconds'
     WHERE id = $1 AND ended_at IS NULL AND lease_owner IS NULL AND wish = 'transfer' AND transfer IN ('asked', 'accepted', 'ringing')`,
    [callId, detail.slice(0, 255), at],
    'calls_part',
  )
  return rowCount === 1
}

/** Ends a call that has parted, for what is known now: somebody took it, or the caller was gone before. */
export async function endParted(tx: Tx, call: Call, carrying: (call: Call, answeredMs: number) => Micros): Promise<EndedCall> {
  const reason = call.transfer === 'answered' ? 'transferred' : 'caller_hung_up'
  return end(tx, { callId: call.id, epoch: 'unowned', status: 'completed', reason, at: call.partedAt!, carrying, ...(call.endDetail === null ? {} : { detail: call.endDetail }) })
}
