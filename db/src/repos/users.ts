import type { Id } from '@trunkline/core'
import { eq, sql } from 'drizzle-orm'
import { users } from '../tables/schema.ts'
import type { Tx } from '../tenancy.ts'

// People belong to no tenant: every function here runs under `db.system`.

export type User = { id: string; email: string; name: string; passwordHash: string; emailVerifiedAt: Date | null; failedLogins: number; lockedUntil: Date | null; platformAdmin: boolean; createdAt: Date }

/** Null when the address is taken (addresses do not differ by case). */
export async function insertUser(tx: Tx, user: { id: Id; email: string; name: string; passwordHash: string }): Promise<User | null> {
  const [row] = await tx.orm.insert(users).values(user).onConflictDoNothing().returning()
  return row ?? null
}

export async function findUserByEmail(tx: Tx, email: string): Promise<User | null> {
  const [row] = await tx.orm.select().from(users).where(eq(sql`lower(${users.email})`, email.toLowerCase()))
  return row ?? null
}

export async function findUser(tx: Tx, id: Id): Promise<User | null> {
  const [row] = await tx.orm.select().from(users).where(eq(users.id, id))
  return row ?? null
}

/** A new password also ends a lock-out. */
export async function setPassword(tx: Tx, id: Id, passwordHash: string, name?: string): Promise<void> {
  await tx.orm.update(users).set({ passwordHash, failedLogins: 0, lockedUntil: null, ...(name === undefined ? {} : { name }) }).where(eq(users.id, id))
}

export async function markEmailVerified(tx: Tx, id: Id): Promise<void> {
  await tx.orm.update(users).set({ emailVerifiedAt: sql`coalesce(${users.emailVerifiedAt}, now())` }).where(eq(users.id, id))
}

/** The durable half of the lock-out: it holds when Redis has lost its counts. */
export async function countFailedLogin(tx: Tx, id: Id, lockAfter: number, lockMs: number): Promise<void> {
  await tx.query(
    `UPDATE users SET failed_logins = CASE WHEN failed_logins + 1 >= $2 THEN 0 ELSE failed_logins + 1 END,
       locked_until = CASE WHEN failed_logins + 1 >= $2 THEN now() + make_interval(secs => $3 / 1000.0) ELSE locked_until END WHERE id = $1`,
    [id, lockAfter, lockMs],
  )
}

export async function clearFailedLogins(tx: Tx, id: Id): Promise<void> {
  await tx.query('UPDATE users SET failed_logins = 0, locked_until = NULL WHERE id = $1 AND (failed_logins > 0 OR locked_until IS NOT NULL)', [id])
}
