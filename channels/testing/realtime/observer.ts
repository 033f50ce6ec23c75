import type { ServerEvent } from '../../src/realtime/index.ts'

/**
 * A client that believes nothing: it follows a session by its events alone and throws at the first one that contradicts
 * what came before. What it knows at the end must be what the server knows.
 */
type Growing = { text: string; transcript: string; call: string; part: 'none' | 'open' | 'done'; audioDone: boolean; done: boolean }
type Answer = { inConversation: boolean; items: Map<string, Growing> }

export type Observer = { see(event: ServerEvent): void; order(): string[]; running(): string[] }

function insist(fact: boolean, what: string, event: ServerEvent): void {
  if (!fact) throw new Error(`${what}: ${JSON.stringify(event).slice(0, 400)}`)
}

export function observe(): Observer {
  const order: string[] = []
  const answers = new Map<string, Answer>()
  const seen = new Set<string>()
  const conversationDone = new Set<string>()
  let speaking: string | null = null
  let committed: string | null = null

  const before = (id: string): string | null => order[order.indexOf(id) - 1] ?? null

  const growing = (event: ServerEvent & { response_id: string; item_id: string }): Growing => {
    const item = answers.get(event.response_id)?.items.get(event.item_id)
    insist(item !== undefined && !item.done, 'about an item that is not being generated', event)
    return item!
  }

  const place = (event: Extract<ServerEvent, { type: 'conversation.item.added' }>): void => {
    const { item, previous_item_id: previous } = event
    insist(!order.includes(item.id), 'an item was added twice', event)
    insist(previous === null || order.includes(previous), 'an item follows one that is not there', event)
    if (committed !== null) insist(item.id === committed, 'another item than the committed one came', event)
    committed = null
    order.splice(previous === null ? 0 : order.indexOf(previous) + 1, 0, item.id)
  }

  const created = (event: Extract<ServerEvent, { type: 'response.created' }>): void => {
    const { id, conversation_id, status, output, usage } = event.response
    insist(!answers.has(id), 'a response was created twice', event)
    insist(status === 'in_progress' && output.length === 0 && usage === null, 'a response began with something', event)
    const inConversation = conversation_id !== null
    insist(!inConversation || [...answers.values()].every((other) => !other.inConversation), 'two responses write to the conversation', event)
    answers.set(id, { inConversation, items: new Map() })
  }

  const done = (event: Extract<ServerEvent, { type: 'response.done' }>): void => {
    const { id, output, status, usage } = event.response
    const answer = answers.get(id)
    insist(answer !== undefined, 'a response ended that never began', event)
    insist(
      [...answer!.items.values()].every((item) => item.done),
      'a response ended before its items',
      event,
    )
    insist(output.map((item) => item.id).join() === [...answer!.items.keys()].join(), 'the output is not what was generated', event)
    insist(status !== 'in_progress' && usage !== null, 'a response ended without an outcome', event)
    answers.delete(id)
  }

  const see = (event: ServerEvent): void => {
    insist(!seen.has(event.event_id), 'an event id came twice', event)
    seen.add(event.event_id)
    switch (event.type) {
      case 'conversation.item.added':
        return place(event)
      case 'conversation.item.done':
        insist(order.includes(event.item.id) && !conversationDone.has(event.item.id), 'an item was done that was not there, or twice', event)
        insist(event.previous_item_id === before(event.item.id), 'an item is elsewhere than it was said', event)
        conversationDone.add(event.item.id)
        return
      case 'conversation.item.deleted':
        insist(order.includes(event.item_id), 'an item was deleted that was not there', event)
        order.splice(order.indexOf(event.item_id), 1)
        conversationDone.delete(event.item_id)
        return
      case 'conversation.item.retrieved':
        return insist(order.includes(event.item.id), 'an item was retrieved that is not there', event)
      case 'conversation.item.truncated':
        return insist(order.includes(event.item_id), 'an item was truncated that is not there', event)
      case 'input_audio_buffer.speech_started':
        insist(speaking === null, 'speech started twice', event)
        speaking = event.item_id
        return
      case 'input_audio_buffer.speech_stopped':
        return insist(speaking === event.item_id, 'speech stopped that had not started', event)
      case 'input_audio_buffer.cleared':
        speaking = null
        return
      case 'input_audio_buffer.committed':
        insist(event.previous_item_id === (order.at(-1) ?? null), 'a commit goes elsewhere than to the end', event)
        insist(speaking === null || speaking === event.item_id, 'a commit during speech has another id', event)
        speaking = null
        committed = event.item_id
        return
      case 'response.created':
        return created(event)
      case 'response.done':
        return done(event)
      case 'response.output_item.added': {
        const answer = answers.get(event.response_id)
        insist(answer !== undefined && event.output_index === answer.items.size, 'an output item out of order', event)
        answer!.items.set(event.item.id, { text: '', transcript: '', call: '', part: 'none', audioDone: false, done: false })
        return
      }
      case 'response.content_part.added': {
        const item = growing(event)
        insist(item.part === 'none', 'a part was added twice', event)
        item.part = 'open'
        return
      }
      case 'response.output_text.delta': {
        const item = growing(event)
        insist(item.part === 'open', 'words outside of a part', event)
        item.text += event.delta
        return
      }
      case 'response.output_audio_transcript.delta': {
        const item = growing(event)
        insist(item.part === 'open', 'words outside of a part', event)
        item.transcript += event.delta
        return
      }
      case 'response.output_audio.delta':
        return insist(growing(event).part === 'open' && !growing(event).audioDone, 'sound outside of a part', event)
      case 'response.function_call_arguments.delta':
        growing(event).call += event.delta
        return
      case 'response.output_audio.done':
        growing(event).audioDone = true
        return
      case 'response.output_text.done':
        return insist(growing(event).text === event.text, 'the deltas do not add up', event)
      case 'response.output_audio_transcript.done':
        return insist(growing(event).transcript === event.transcript, 'the deltas do not add up', event)
      case 'response.function_call_arguments.done':
        return insist(growing(event).call === event.arguments, 'the deltas do not add up', event)
      case 'response.content_part.done': {
        const item = growing(event)
        insist(item.part === 'open' && event.part.text === item.text && event.part.transcript === item.transcript, 'a part is not what was said', event)
        item.part = 'done'
        return
      }
      case 'response.output_item.done': {
        const item = answers.get(event.response_id)?.items.get(event.item.id)
        insist(item !== undefined && !item.done && item.part !== 'open', 'an item was done too early', event)
        if (answers.get(event.response_id)?.inConversation)
          insist(conversationDone.has(event.item.id), 'the response was done with an item before the conversation', event)
        item!.done = true
        return
      }
      case 'error':
        return insist(event.error.message !== '' && event.error.code !== null, 'an error that says nothing', event)
      default:
    }
  }

  return { see, order: () => order, running: () => [...answers.keys()] }
}
