import type { Channel, ChannelId, Id, PromptContent } from '@trunkline/core'

/** A number as the routing cache knows it, its credentials opened. */
export type RoutedNumber = {
  id: Id
  tenantId: Id
  projectId: Id
  tenantStatus: 'active' | 'suspended'
  channel: ChannelId
  address: string
  name: string
  status: 'active' | 'stopped' | 'deleted'
  credentials: Record<string, unknown>
  settings: Record<string, unknown>
  orderMode: 'number' | 'conversation'
  windowSize: number
  coalesceMs: number
  headDeadlineMs: number
  agent: { id: Id; promptId: Id; promptVersion: number; content: PromptContent } | null
}

export type Routing = {
  /** Null when there is no such number. */
  number(id: Id): Promise<RoutedNumber | null>
  /** Drops what is cached of a number after a change. */
  forget(id: Id, tenantId: Id): Promise<void>
}

export type Channels = Record<ChannelId, Channel>
