import { randomBytes } from 'node:crypto'
import { newId } from '@trunkline/core'
import { API_KEY_PURPOSE, mintKey } from '@trunkline/db'
import type { Stack } from '../stage/stack.ts'

export type KeySet = { valid: string[]; revoked: string[] }

/** Stored keys of one tenant. Their Argon2id hash is a placeholder: a check never reads it. */
export async function makeKeys({ db, keyring }: Stack, count: { valid: number; revoked: number }): Promise<KeySet> {
  const [tenantId, projectId] = [newId(), newId()]
  const minted = Array.from({ length: count.valid + count.revoked }, () => mintKey(keyring.derive(API_KEY_PURPOSE), 'production'))
  await db.system('test', async (tx) => {
    await tx.query("INSERT INTO tenants (id, name) VALUES ($1, 'Keys')", [tenantId])
    await tx.query("INSERT INTO projects (id, tenant_id, name, environment) VALUES ($1, $2, 'Main', 'production')", [projectId, tenantId])
    await tx.query(
      `INSERT INTO api_keys (id, tenant_id, project_id, name, environment, key_id, secret_hash, digest, last_four, scopes, revoked_at)
       SELECT id, $1, $2, 'bench', 'production', key_id, 'none', decode(digest, 'hex'), last_four, '{messages:read}', CASE WHEN place > $3 THEN now() END
       FROM unnest($4::uuid[], $5::text[], $6::text[], $7::text[]) WITH ORDINALITY AS k (id, key_id, digest, last_four, place)`,
      [tenantId, projectId, count.valid, minted.map(() => newId()), minted.map((key) => key.keyId), minted.map((key) => key.digest.toString('hex')), minted.map((key) => key.lastFour)],
    )
  })
  const texts = minted.map((key) => key.text)
  return { valid: texts.slice(0, count.valid), revoked: texts.slice(count.valid) }
}

/** The right shape, a checksum that nobody made. */
export const forgedKey = (): string => `tl_live_${randomBytes(6).toString('hex')}_${randomBytes(16).toString('hex')}${randomBytes(8).toString('hex')}`
