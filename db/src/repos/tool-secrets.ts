import type { Id } from '@trunkline/core'
import { eq } from 'drizzle-orm'
import type { Keyring } from '../seal.ts'
import { toolSecrets } from '../tables/schema.ts'
import type { Tx } from '../tenancy.ts'

/** A named secret that the headers of tools may use as `{{secret.NAME}}`. Its value never leaves again. */
export type ToolSecret = { name: string; createdAt: Date }

const shown = { name: toolSecrets.name, createdAt: toolSecrets.createdAt }

export async function putToolSecret(tx: Tx, keyring: Keyring, secret: { tenantId: Id; name: string; value: string }): Promise<ToolSecret> {
  const changed = { valueSealed: keyring.seal(secret.value, secret.tenantId), createdAt: new Date() }
  const [row] = await tx.orm
    .insert(toolSecrets)
    .values({ tenantId: secret.tenantId, name: secret.name, ...changed })
    .onConflictDoUpdate({ target: [toolSecrets.tenantId, toolSecrets.name], set: changed })
    .returning(shown)
  return row!
}

export const listToolSecrets = (tx: Tx): Promise<ToolSecret[]> => tx.orm.select(shown).from(toolSecrets).orderBy(toolSecrets.name)

export async function deleteToolSecret(tx: Tx, name: string): Promise<boolean> {
  const rows = await tx.orm.delete(toolSecrets).where(eq(toolSecrets.name, name)).returning(shown)
  return rows.length === 1
}

/** For the agents room: all values of a tenant, by name. */
export async function openToolSecrets(tx: Tx, keyring: Keyring, tenantId: Id): Promise<Record<string, string>> {
  const rows = await tx.orm.select().from(toolSecrets).where(eq(toolSecrets.tenantId, tenantId))
  return Object.fromEntries(rows.map((row) => [row.name, keyring.open(row.valueSealed, tenantId).toString('utf8')]))
}
