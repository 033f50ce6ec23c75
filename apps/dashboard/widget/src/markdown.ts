import { el, link } from './element.ts'

// As much Markdown as agents write: paragraphs, lists, bold, italic, code, links. It builds elements from text; whatever else
// stands in it, HTML above all, is shown as it was written.

const INLINE = /\*\*([^*\n]+)\*\*|__([^_\n]+)__|(?<![\w*])\*([^*\s][^*\n]*)\*(?![\w*])|(?<!\w)_([^_\s][^_\n]*)_(?!\w)|`([^`\n]+)`|\[([^\]\n]+)\]\(((?:https?:|mailto:|tel:)[^\s)]+)\)|(https?:\/\/[^\s<>"]+[^\s<>".,;:!?)\]'])/g
const BULLET = /^\s*[-*•]\s+(.*)$/
const NUMBER = /^\s*(\d{1,3})[.)]\s+(.*)$/

function inline(text: string, depth = 0): (Node | string)[] {
  const nodes: (Node | string)[] = []
  let end = 0
  for (const match of text.matchAll(INLINE)) {
    const [whole, bold, bold2, italic, italic2, code, label, url, bare] = match
    nodes.push(text.slice(end, match.index))
    end = match.index + whole.length
    const inner = (words: string) => (depth < 3 ? inline(words, depth + 1) : [words])
    if (bold ?? bold2) nodes.push(el('strong', {}, ...inner((bold ?? bold2)!)))
    else if (italic ?? italic2) nodes.push(el('em', {}, ...inner((italic ?? italic2)!)))
    else if (code) nodes.push(el('code', { text: code }))
    else nodes.push(link(url ?? bare, {}, label ?? bare))
  }
  nodes.push(text.slice(end))
  return nodes.filter((node) => node !== '')
}

/** Blocks of a text: a run of list lines is a list, everything else keeps its line breaks. */
export function markdown(text: string): DocumentFragment {
  const made = document.createDocumentFragment()
  let [list, paragraph] = [null, null] as [HTMLElement | null, HTMLElement | null]
  for (const line of text.split('\n')) {
    const [bullet, number] = [BULLET.exec(line), NUMBER.exec(line)]
    if (bullet ?? number) {
      paragraph = null
      const tag = bullet ? 'ul' : 'ol'
      if (list?.localName !== tag) {
        list = el(tag, number && number[1] !== '1' ? { start: number[1] } : {})
        made.append(list)
      }
      list.append(el('li', {}, ...inline(bullet?.[1] ?? number![2]!)))
    } else if (line.trim() === '') list = paragraph = null
    else {
      list = null
      if (paragraph) paragraph.append(el('br'))
      else made.append((paragraph = el('p')))
      paragraph.append(...inline(line.replace(/^#{1,6}\s+/, '')))
    }
  }
  return made
}
