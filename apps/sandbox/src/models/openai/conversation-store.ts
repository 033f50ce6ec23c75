import { newOpenAiId } from './ids.ts'
import type { Item } from './items.ts'

export type Conversation = { id: string; createdAt: number; metadata: Record<string, string>; owner: string; items: Item[]; locked: boolean }

const KEPT = 100_000

/** Conversations by id. A key sees only its own: another key's conversation does not exist for it. */
export class ConversationStore {
  readonly #conversations = new Map<string, Conversation>()

  create(owner: string, items: Item[], metadata: Record<string, string>): Conversation {
    const conversation = { id: newOpenAiId('conv'), createdAt: Math.floor(Date.now() / 1000), metadata, owner, items, locked: false }
    this.#conversations.set(conversation.id, conversation)
    if (this.#conversations.size > KEPT) this.#conversations.delete(this.#conversations.keys().next().value!)
    return conversation
  }

  get(owner: string, id: string): Conversation | undefined {
    const conversation = this.#conversations.get(id)
    return conversation?.owner === owner ? conversation : undefined
  }

  delete(id: string): void {
    this.#conversations.delete(id)
  }

  reset(): void {
    this.#conversations.clear()
  }
}
