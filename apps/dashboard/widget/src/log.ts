import type { Chat } from './chat.ts'
import { render } from './content.ts'
import { el } from './element.ts'
import type { Words } from './words.ts'

type Entry = { key: string; own: boolean; author: string; at: string; content: Record<string, unknown> & { kind: string }; status: keyof Words | null }

const APART_MS = 5 * 60_000

/** The list of messages. Elements are kept while their message is shown, so that a screen reader hears each one once. */
export function createLog(chat: Chat, words: Words, language: string) {
  const box = el('div', { class: 'log', role: 'log', 'aria-live': 'polite', 'aria-label': words.log, tabindex: 0 })
  const earlier = el('button', { class: 'earlier', type: 'button', text: words.earlier, hidden: true, on: { click: () => void showEarlier() } })
  const greeting = el('div', { class: 'entry', hidden: true })
  const typing = el('div', { class: 'entry typing', hidden: true }, el('div', { class: 'bubble' }, el('span', { class: 'hidden', text: `${words.agent} ${words.typing}` }), el('i'), el('i'), el('i')))
  const shown = new Map<string, { node: HTMLElement; version: string }>()
  const clock = new Intl.DateTimeFormat(language, { hour: '2-digit', minute: '2-digit' })
  const day = new Intl.DateTimeFormat(language, { day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit' })
  let typingTimer = 0
  box.append(earlier, greeting, typing)

  const nearEnd = () => box.scrollHeight - box.scrollTop - box.clientHeight < 80
  const toEnd = () => (box.scrollTop = box.scrollHeight)

  async function showEarlier(): Promise<void> {
    const height = box.scrollHeight
    await chat.earlier().catch(() => undefined)
    box.scrollTop += box.scrollHeight - height
  }

  function entries(): Entry[] {
    const told = chat.messages.map((message): Entry => ({ key: message.client_message_id ?? message.id, own: message.author === 'visitor', author: message.author, at: message.at, content: message.content, status: message.author === 'visitor' ? 'sent' : null }))
    const waiting = chat.queue.map((item): Entry => ({
      key: item.client_message_id, own: true, author: 'visitor', at: item.at, status: item.failed ? 'failed' : item.acked ? 'sent' : 'sending',
      content: (item.preview ?? (item.choice ? { kind: 'choice', ...item.choice } : { kind: 'text', text: item.text })) as Entry['content'],
    }))
    return [...told, ...waiting]
  }

  const timeOf = (at: string): string => {
    const date = new Date(at)
    return (date.toDateString() === new Date().toDateString() ? clock : day).format(date)
  }

  /** A neighbour of the same author within minutes shares the line below. */
  const isTail = (entry: Entry, next: Entry | undefined): boolean => !next || next.own !== entry.own || next.status !== entry.status || Date.parse(next.at) - Date.parse(entry.at) > APART_MS

  function nodeOf(entry: Entry, tail: boolean, answered: boolean): HTMLElement {
    const pick = answered ? undefined : (choice: { id: string; title: string }) => chat.say({ choice })
    const onLoad = () => nearEnd() && toEnd()
    const who = entry.own ? words.you : words.agent
    const meta = el('div', { class: 'meta' }, timeOf(entry.at), entry.status ? ` · ${words[entry.status]}` : '')
    const bubble = el('div', { class: 'bubble' }, el('span', { class: 'hidden', text: `${who}: ` }), ...render(entry.content, { words, own: entry.own, pick, onLoad }))
    return el('div', { class: `entry ${entry.own ? 'own ' : ''}${entry.status ?? ''}${tail ? ' tail' : ''}` }, bubble, tail ? meta : null)
  }

  return {
    box,
    toEnd,
    typing(): void {
      const follow = nearEnd()
      typing.hidden = false
      if (follow) toEnd()
      clearTimeout(typingTimer)
      typingTimer = setTimeout(() => (typing.hidden = true), 20_000)
    },
    update(): void {
      const follow = nearEnd()
      const all = entries()
      earlier.hidden = !chat.hasMore
      if (chat.config?.greeting && greeting.hidden) {
        greeting.append(el('div', { class: 'bubble' }, ...render({ kind: 'text', text: chat.config.greeting }, { words, own: false, onLoad: toEnd })))
        greeting.hidden = false
      }
      const lastOwn = all.findLastIndex((entry) => entry.own)
      let place: Element = greeting
      for (const [index, entry] of all.entries()) {
        const [tail, answered] = [isTail(entry, all[index + 1]), index < lastOwn]
        const version = `${entry.status} ${tail} ${answered}`
        const old = shown.get(entry.key)
        const fresh = old?.version === version ? old : { node: nodeOf(entry, tail, answered), version }
        if (old && old !== fresh) old.node.replaceWith(fresh.node)
        else if (place.nextElementSibling !== fresh.node) place.after(fresh.node)
        if (!old && !entry.own) typing.hidden = true
        shown.set(entry.key, fresh)
        place = fresh.node
      }
      const keys = new Set(all.map((entry) => entry.key))
      for (const [key, { node }] of shown) if (!keys.has(key) && shown.delete(key)) node.remove()
      if (follow || all.at(-1)?.status === 'sending') toEnd()
    },
  }
}
