import type { ChannelId, Id, PromptContent } from '@trunkline/core'
import type { Acceptor, Bell, MediaStore, NumberRouting } from '@trunkline/db'

/** What a prompt's schema cannot see: an unknown variable, a tool that could never be called. `param` is a path in the content, camelCase. */
export type PromptFault = { param: string; message: string }

/** What the business routes need from other rooms. */
export type BusinessPorts = {
  /** Files of messages. */
  mediaStore: MediaStore
  /** Numbers as webhooks and workers see them; a route that changes one calls `invalidateNumber` after its commit. */
  routing: NumberRouting
  /** The queue's door: resolves when every event is committed. */
  accept: Acceptor['accept']
  /** The tenant's number with this address, when a webhook of one number brings events of another. */
  numberByAddress(tenantId: Id, channel: ChannelId, address: string): Promise<Id | null>
  /** Says that the direct lane (a person's words, manual retries) has something to send. A hint: workers also look by themselves. */
  wakeDirectSends(numberId: Id): Promise<void>
  /** Says that a file is to be fetched again. A hint, too. */
  wakeMedia(): Promise<void>
  /** Short words between processes: a visitor has a new message. */
  bell: Pick<Bell, 'ring' | 'listen' | 'listening'>
  /** Empty: the prompt can be published. */
  checkPrompt(content: PromptContent): PromptFault[]
  /** Why an address that a tenant typed in may not be called; null: it may, as far as its name tells. */
  checkAddress(url: string): string | null
}
