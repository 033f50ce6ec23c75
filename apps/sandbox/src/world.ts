import type { CarrierWorld } from './carriers/world.ts'
import type { FaultTable } from './faults/table.ts'
import type { Journal } from './journal/journal.ts'
import type { MailBox } from './mail/box.ts'
import type { MediaStore } from './meta/media.ts'
import type { MetaRegistry } from './meta/registry.ts'
import type { WebhookSender } from './meta/webhook-sender.ts'
import type { StatusTeller } from './meta/whatsapp/statuses.ts'
import type { Pace } from './models/pace.ts'
import type { ConversationStore } from './models/openai/conversation-store.ts'
import type { ResponseStore } from './models/openai/response-store.ts'
import type { SpeechWorld } from './speech/world.ts'

/** The state of the outside world that its routes share. */
export type World = {
  journal: Journal
  faults: FaultTable
  meta: MetaRegistry
  media: MediaStore
  webhooks: WebhookSender
  statuses: StatusTeller
  pace: Pace
  conversations: ConversationStore
  responses: ResponseStore
  mail: MailBox
  speech: SpeechWorld
  carriers: CarrierWorld
  /** Where this sandbox is reached from outside, without a slash at the end. */
  publicUrl: () => string
}
