// The sandbox's console: plain DOM, fed by the control API and the journal's long poll.

const $ = (id) => document.getElementById(id)
const state = { channel: 'whatsapp', numbers: [], accounts: [], after: 0, ticks: new Map(), typingTimer: 0 }

/** An element with properties and children; text is always text, never HTML. */
function h(tag, props = {}, ...children) {
  const element = Object.assign(document.createElement(tag), props)
  element.append(...children.filter((child) => child !== null && child !== undefined))
  return element
}

async function call(method, path, body) {
  const content = body && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }
  const answer = await fetch(path, { method, ...content })
  const json = answer.status === 204 ? null : await answer.json()
  if (!answer.ok) throw new Error(json?.error?.message ?? `${method} ${path} was answered with ${answer.status}`)
  return json
}

const wanted = new URLSearchParams(location.search)
const clock = (at) => new Date(at).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' })

// ---- Who writes to whom ----

const PEOPLE = ['Ada Lovelace', 'Grace Hopper', 'Alan Turing', 'Katherine Johnson', 'Edsger Dijkstra', 'Radia Perlman', 'Ken Thompson', 'Barbara Liskov']

function becomeSomeone() {
  $('name').value = PEOPLE[Math.floor(Math.random() * PEOPLE.length)]
  $('address').value = `${state.channel === 'whatsapp' ? '4915' : '17900'}${Math.floor(10_000_000 + Math.random() * 89_999_999)}`
  saveIdentity()
}

function saveIdentity() {
  localStorage.setItem(`sandbox-${state.channel}`, JSON.stringify({ name: $('name').value, address: $('address').value }))
}

function loadIdentity() {
  const saved = JSON.parse(localStorage.getItem(`sandbox-${state.channel}`) ?? 'null')
  if (!saved) return becomeSomeone()
  $('name').value = saved.name
  $('address').value = saved.address
}

const targets = () => (state.channel === 'whatsapp' ? state.numbers.map((number) => [number.phone_number_id, `${number.verified_name} · +${number.display_phone_number.replace(/\D/g, '')}`]) : state.accounts.map((account) => [account.ig_id, `${account.name} · @${account.username}`]))

async function loadNumbers() {
  const [numbers, accounts] = await Promise.all([call('GET', '/sandbox/whatsapp/numbers'), call('GET', '/sandbox/instagram/accounts')])
  const changed = numbers.data.length !== state.numbers.length || accounts.data.length !== state.accounts.length
  state.numbers = numbers.data
  state.accounts = accounts.data
  const plural = (count, word) => `${count} ${word}${count === 1 ? '' : 's'}`
  $('chips').replaceChildren(h('span', { className: 'chip' }, plural(state.numbers.length, 'WhatsApp number')), h('span', { className: 'chip' }, plural(state.accounts.length, 'Instagram account')))
  if (changed) showTargets()
}

function showTargets() {
  const chosen = $('number').value
  $('number').replaceChildren(...targets().map(([value, label]) => h('option', { value }, label)))
  if (targets().some(([value]) => value === chosen)) $('number').value = chosen
  $('number').disabled = targets().length === 0
  void showConversation()
}

function choose(channel) {
  state.channel = channel
  for (const name of ['whatsapp', 'instagram']) $(`as-${name}`).setAttribute('aria-pressed', String(name === channel))
  $('address-label').textContent = channel === 'whatsapp' ? 'Your phone' : 'Your Instagram id'
  loadIdentity()
  showTargets()
}

// ---- The conversation ----

const ours = () => `${state.channel}.send`
const theirs = () => `${state.channel}.customer`
const isHere = (entry) => entry.number === $('number').value && entry.to === $('address').value

/** Both sides come from the journal, so that scripted conversations can be watched too. */
async function showConversation() {
  const key = conversationKey()
  const query = `number=${$('number').value}&to=${$('address').value}&outcome=accepted&order=newest&limit=200`
  const pages = $('number').value ? await Promise.all([ours(), theirs()].map((target) => call('GET', `/sandbox/journal?target=${target}&${query}`))) : []
  if (key !== conversationKey()) return
  const entries = pages.flatMap(({ data }) => data).sort((a, b) => a.seq - b.seq)
  $('chat').replaceChildren(...(entries.length ? entries.map(bubbleOf) : [welcome()]))
  scrollDown()
}

const bubbleOf = (entry) => (entry.target === ours() ? answerBubble(entry) : customerBubble(entry))
const conversationKey = () => `${state.channel}/${$('number').value}/${$('address').value}`

function welcome() {
  const kind = state.channel === 'whatsapp' ? 'WhatsApp number' : 'Instagram account'
  if (targets().length) return h('li', { className: 'welcome' }, h('p', {}, 'Say hello, as a customer would. The answer comes through the whole system: signed webhook, queue, model, ledger, and back to this phone.'))
  const example = state.channel === 'whatsapp' ? `curl -X POST ${location.origin}/sandbox/whatsapp/numbers -H 'content-type: application/json' -d '{"phone_number_id":"1001","webhook_url":"http://127.0.0.1:3000/webhooks/whatsapp/NUMBER","app_secret":"...","access_token":"..."}'` : `curl -X POST ${location.origin}/sandbox/instagram/accounts -H 'content-type: application/json' -d '{"ig_id":"17841400000000001","webhook_url":"http://127.0.0.1:3000/webhooks/instagram/NUMBER","app_secret":"...","access_token":"..."}'`
  return h('li', { className: 'welcome' }, h('p', {}, `No ${kind} is registered here yet. The demo registers one by itself; by hand it is:`), h('code', {}, example))
}

function add(node) {
  $('chat').querySelector('.welcome')?.remove()
  stopTyping()
  $('chat').append(node)
  scrollDown()
}

const scrollDown = () => ($('chat').scrollTop = $('chat').scrollHeight)

function answerBubble(entry) {
  const body = entry.body ?? {}
  const parts = state.channel === 'whatsapp' ? whatsappParts(body) : instagramParts(body)
  const words = parts.text ?? entry.text ?? ''
  return h('li', { className: 'bubble' }, parts.attachment ? h('span', { className: 'attachment' }, parts.attachment) : null, words, choicesNode(parts.choices), h('span', { className: 'meta' }, clock(entry.at)))
}

function whatsappParts(body) {
  const value = body[body.type ?? 'text'] ?? {}
  if (body.type === 'interactive') return { text: value.body?.text, choices: interactiveChoices(value) }
  if (body.type === 'template') return { text: `Template “${value.name}”` }
  if (body.type === 'reaction') return { text: `Reacted with ${value.emoji || 'nothing'}` }
  if (['image', 'video', 'audio', 'document', 'sticker'].includes(body.type)) return { text: value.caption ?? '', attachment: `📎 ${body.type} ${value.filename ?? value.link ?? value.id ?? ''}` }
  if (body.type === 'location') return { text: [value.name, value.address, `${value.latitude}, ${value.longitude}`].filter(Boolean).join('\n'), attachment: '📍 location' }
  return { text: value.body }
}

function interactiveChoices({ type, action }) {
  const reply = (kind, { id, title, description }) => ({ title: description ? `${title} — ${description}` : title, send: { message: { type: 'interactive', interactive: { type: kind, [kind]: { id, title, ...(description ? { description } : {}) } } } }, shown: title })
  if (type === 'button') return action.buttons.map((button) => reply('button_reply', button.reply))
  if (type === 'list') return action.sections.flatMap((section) => section.rows.map((row) => reply('list_reply', row)))
  return type === 'cta_url' ? [{ title: `🔗 ${action.parameters.display_text}`, href: action.parameters.url }] : []
}

function instagramParts({ message = {} }) {
  const payload = message.attachment?.payload ?? {}
  const quick = (message.quick_replies ?? []).map((reply) => ({ title: reply.title ?? reply.content_type, shown: reply.title, send: { message: { text: reply.title, quick_reply: { payload: reply.payload } } } }))
  const buttons = [...(payload.buttons ?? []), ...(payload.elements ?? []).flatMap((element) => element.buttons ?? [])].map((button) => (button.type === 'web_url' ? { title: `🔗 ${button.title}`, href: button.url } : { title: button.title, shown: button.title, send: { event: { postback: { mid: `m_${Date.now()}`, title: button.title, payload: button.payload } } } }))
  const cards = (payload.elements ?? []).map((element) => [element.title, element.subtitle].filter(Boolean).join('\n')).join('\n\n')
  const isFile = message.attachment && message.attachment.type !== 'template'
  return { text: message.text ?? payload.text ?? cards, attachment: isFile ? `📎 ${message.attachment.type} ${payload.url ?? ''}` : null, choices: [...quick, ...buttons] }
}

function choicesNode(choices = []) {
  if (choices.length === 0) return null
  const buttons = choices.map((choice) => h('button', { type: 'button', onclick: () => (choice.href ? open(choice.href, '_blank', 'noopener') : void send(choice.send, choice.shown)) }, choice.title))
  return h('div', { className: 'choices' }, ...buttons)
}

// ---- Writing ----

async function send(content, shown) {
  $('problem').textContent = ''
  const number = state.channel === 'whatsapp' ? { phone_number_id: $('number').value } : { ig_id: $('number').value }
  try {
    const sent = await call('POST', `/sandbox/${state.channel}/customers/${$('address').value}/messages`, { ...number, name: $('name').value || 'Customer', ...content })
    const { state: outcome, status } = sent.delivery
    const isDelivered = outcome === 'delivered'
    for (const id of sent.ids) if (state.ticks.get(id) !== '✓✓') tick(id, isDelivered ? '✓' : '…')
    if (!isDelivered) $('problem').textContent = `The webhook answered ${status || 'nothing'}; the sandbox retries it as Meta would.`
  } catch (error) {
    $('problem').textContent = `“${shown}” was not sent: ${error.message}`
  }
}

function customerBubble(entry) {
  const mark = state.ticks.get(entry.id) ?? ''
  const meta = h('span', { className: `meta${mark === '✓✓' ? ' read' : ''}` }, `${clock(entry.at)} ${mark}`)
  meta.dataset.id = entry.id
  meta.dataset.at = entry.at
  return h('li', { className: 'bubble mine' }, entry.text, meta)
}

function tick(id, mark) {
  state.ticks.set(id, mark)
  const meta = [...$('chat').querySelectorAll('.meta')].find(({ dataset }) => dataset.id === id)
  if (!meta) return false
  meta.textContent = `${clock(meta.dataset.at)} ${mark}`
  meta.classList.toggle('read', mark === '✓✓')
  return true
}

function showTyping() {
  stopTyping()
  $('chat').append(h('li', { className: 'bubble typing', id: 'typing', ariaLabel: 'typing' }, h('i'), h('i'), h('i')))
  scrollDown()
  state.typingTimer = setTimeout(stopTyping, 25_000)
}

function stopTyping() {
  clearTimeout(state.typingTimer)
  $('typing')?.remove()
}

// ---- The journal, live ----

function onEntry(entry) {
  logRow(entry)
  if ((entry.target === ours() || entry.target === theirs()) && entry.outcome === 'accepted' && isHere(entry)) add(bubbleOf(entry))
  if (entry.target === 'whatsapp.read' && tick(entry.id, '✓✓') && entry.kind === 'typing' && state.channel === 'whatsapp') showTyping()
  if (entry.target === 'instagram.sender_action' && entry.kind === 'typing_on' && isHere(entry)) showTyping()
  if (entry.target === 'mail.received') void showMail()
  if (entry.fault) void showFaults()
}

function logRow(entry) {
  const good = entry.outcome === 'accepted'
  const detail = [entry.to, entry.text ?? entry.kind].filter(Boolean).join(' — ')
  $('log').prepend(h('tr', {}, h('td', { className: 'soft' }, new Date(entry.at).toLocaleTimeString()), h('td', {}, entry.target), h('td', { className: good ? 'ok' : 'no' }, `${entry.status || (good ? '–' : 'no answer')}`), h('td', {}, detail.slice(0, 220))))
  while ($('log').children.length > 150) $('log').lastElementChild.remove()
}

async function follow() {
  for (;;) {
    try {
      const answer = await fetch(`/sandbox/journal/wait?after=${state.after}&timeout_ms=25000`)
      if (answer.ok) {
        const { data } = await call('GET', `/sandbox/journal?after=${state.after}&limit=500`)
        for (const entry of data) onEntry(entry)
        state.after = data.at(-1)?.seq ?? state.after
      } else {
        // A restarted sandbox counts from one again.
        const { last_seq: last } = await call('GET', '/sandbox/journal?limit=1')
        state.after = Math.min(state.after, last)
      }
      await loadNumbers()
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 1500))
    }
  }
}

// ---- Mail and faults ----

async function showMail() {
  const { data } = await call('GET', '/sandbox/mail')
  $('mail-count').textContent = data.length
  const rows = data.slice(0, 8).map((mail) => h('button', { type: 'button', className: 'row', onclick: () => openMail(mail) }, h('b', {}, mail.subject || '(no subject)'), h('span', { className: 'grow soft' }, mail.to.join(', ')), h('span', { className: 'soft' }, clock(mail.at))))
  $('mail').replaceChildren(...(rows.length ? rows : [h('p', { className: 'empty' }, 'Every e-mail that the system sends lands here instead of leaving the machine.')]))
}

function openMail(mail) {
  $('letter-title').textContent = mail.subject || '(no subject)'
  $('letter-meta').textContent = `${mail.from} → ${mail.to.join(', ')} · ${new Date(mail.at).toLocaleString()}`
  $('letter-frame').src = `/sandbox/mail/${mail.id}/html`
  $('letter').showModal()
}

const PRESETS = [
  ['OpenAI answers 500', { target: 'openai.responses', action: { status: 500 } }],
  ['OpenAI is slow (5 s), 3 times', { target: 'openai.responses', times: 3, action: { delayMs: 5000 } }],
  ['WhatsApp: pair rate, once', { target: 'whatsapp.send', times: 1, action: { errorCode: 131056 } }],
  ['WhatsApp accepts, then hangs, once', { target: 'whatsapp.send', times: 1, action: { acceptThenHang: true } }],
  ['WhatsApp token expired', { target: 'whatsapp.send', action: { errorCode: 190 } }],
  ['Webhooks arrive 5 times', { target: 'webhook.out', times: 3, action: { copies: 4 } }],
]

async function showFaults() {
  const { data } = await call('GET', '/sandbox/faults')
  $('fault-count').textContent = data.length
  const rows = data.map((fault) => h('div', { className: 'row' }, h('b', {}, fault.target), h('span', { className: 'grow soft', title: JSON.stringify(fault.action) }, JSON.stringify(fault.action)), h('span', { className: 'soft' }, `${fault.struck}${fault.times ? `/${fault.times}` : ''} hits`), h('button', { type: 'button', className: 'quiet', onclick: () => change('DELETE', `/sandbox/faults/${fault.id}`) }, 'Remove')))
  $('faults').replaceChildren(...(rows.length ? rows : [h('p', { className: 'empty' }, 'None: everything outside works.')]))
}

async function change(method, path, body) {
  await call(method, path, body).catch(() => undefined)
  await showFaults()
}

// ---- Start ----

const HINTS = ['Hello!', 'When are you open?', 'How much does it cost?', "I'd like to book a demo for tomorrow at 3pm", 'Can I talk to a person?']
$('hints').append(...HINTS.map((text) => h('button', { type: 'button', onclick: () => void send({ text }, text) }, text)))
$('presets').append(...PRESETS.map(([label, fault]) => h('button', { type: 'button', onclick: () => change('POST', '/sandbox/faults', fault) }, label)))
$('as-whatsapp').onclick = () => choose('whatsapp')
$('as-instagram').onclick = () => choose('instagram')
$('number').onchange = () => void showConversation()
$('someone').onclick = () => (becomeSomeone(), void showConversation())
for (const id of ['name', 'address']) $(id).onchange = () => (saveIdentity(), void showConversation())
$('letter-close').onclick = () => $('letter').close()
$('text').onkeydown = (event) => {
  if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return
  event.preventDefault()
  $('composer').requestSubmit()
}
$('composer').onsubmit = (event) => {
  event.preventDefault()
  const text = $('text').value.trim()
  $('text').value = ''
  if (text) void send({ text }, text)
}

await loadNumbers()
// A link may say whose phone to show: /?channel=instagram&as=17900123
choose(wanted.get('channel') === 'instagram' ? 'instagram' : 'whatsapp')
if (wanted.has('as')) {
  $('address').value = wanted.get('as')
  $('name').value = wanted.get('name') ?? $('name').value
  await showConversation()
}
await Promise.all([showMail(), showFaults()])
const recent = await call('GET', '/sandbox/journal?order=newest&limit=60')
for (const entry of recent.data) logRow(entry)
state.after = recent.last_seq
void follow()
