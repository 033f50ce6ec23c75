import { newId } from '@trunkline/core'
import { API_KEY_PURPOSE, insertKey, mintKey, type ApiKey, type MintedKey, type Passwords, type ProjectEnvironment, type Scope, type Tx, type Keyring } from '@trunkline/db'

export type KeyOrder = { tenantId: string; projectId: string; name: string; scopes: Scope[]; expiresAt: Date | null; createdBy: string | null }
export type PreparedKey = MintedKey & { environment: ProjectEnvironment; secretHash: string }

/** Before the transaction: hashing takes tens of milliseconds and must not hold a connection. */
export async function prepareKey(deps: { keyring: Keyring; passwords: Passwords }, environment: ProjectEnvironment): Promise<PreparedKey> {
  const minted = mintKey(deps.keyring.derive(API_KEY_PURPOSE), environment)
  return { ...minted, environment, secretHash: await deps.passwords.hash(minted.text) }
}

/** The row and, this once, the key's text. */
export async function storeKey(tx: Tx, prepared: PreparedKey, order: KeyOrder): Promise<ApiKey & { key: string }> {
  const { text, ...stored } = prepared
  return { ...(await insertKey(tx, { id: newId(), ...stored, ...order })), key: text }
}
