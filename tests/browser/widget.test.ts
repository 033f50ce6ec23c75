import { once } from 'node:events'
import { mkdirSync, readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import type { BrowserContextOptions, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { Business, OurNumber } from '../flow/business.ts'
import { openTown, type Town } from '../flow/town.ts'
import { freePort } from '../harness/processes.ts'
import { openBrowser, whySkipped } from './chromium.ts'

const reason = whySkipped()
const SHOTS = fileURLToPath(new URL('../../.data/browser/', import.meta.url))
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

let town: Town
let business: Business
let number: OurNumber
let closers: (() => Promise<void>)[] = []
beforeAll(async () => {
  if (reason !== null) return
  mkdirSync(SHOTS, { recursive: true })
  const port = await freePort()
  town = await openTown({ settings: { PORT: String(port), PUBLIC_URL: `http://127.0.0.1:${port}` } })
  business = await town.business()
  number = await chat()
})
afterAll(() => town?.close())
afterEach(async () => {
  for (const close of closers.splice(0)) await close()
})

const chat = (settings: Record<string, unknown> = {}) => business.number({ type: 'webchat', number: { settings: { title: 'Harbour Bikes', greeting: 'Ahoy! What can we do for your **bicycle**?', accent_colour: '#0b5c6b', ...settings } } })

/** A page that complains loudly: a refusal of its policy or an error of a script fails the test. */
type Visit = { page: Page; faults: string[]; open(query?: string): Promise<void> }
async function visit(of: OurNumber = number, options: BrowserContextOptions = {}, prepare?: (page: Page) => Promise<void>): Promise<Visit> {
  const { context, close } = await openBrowser(options)
  closers.push(close)
  const page = await context.newPage()
  const faults: string[] = []
  page.on('pageerror', (error) => faults.push(error.message))
  page.on('console', (message) => {
    if (message.type() === 'error' && !/ERR_INTERNET_DISCONNECTED|WebSocket connection/.test(message.text())) faults.push(message.text())
  })
  await prepare?.(page)
  const open = async (query = '') => void (await page.goto(`${town.apiUrl}/widget/demo?number=${of.id}${query}`))
  await open()
  return { page, faults, open }
}

const launcher = (page: Page) => page.getByRole('button', { name: /^Open chat/ })
const bubbles = (page: Page) => page.locator('.log .entry:not(.typing) .bubble')
async function write(page: Page, text: string): Promise<void> {
  await page.getByLabel('Your message').fill(text)
  await page.keyboard.press('Enter')
}
/** The agent's words after the greeting. */
const answers = (page: Page) => page.locator('.log .entry:not(.own):not(.typing) .bubble')
const inbound = (of: OurNumber) => town.rows<{ id: string; provider_message_id: string; conversation_id: string }>("SELECT id, provider_message_id, conversation_id FROM messages WHERE number_id = $1 AND direction = 'inbound' ORDER BY created_at, seq", [of.id])

async function violations(page: Page): Promise<string[]> {
  await page.evaluate(AXE)
  return page.evaluate(async () => {
    const axe = (globalThis as unknown as { axe: { run(): Promise<{ violations: { id: string; nodes: { html: string; failureSummary: string }[] }[] }> } }).axe
    const { violations: found } = await axe.run()
    return found.flatMap((each) => each.nodes.map((node) => `${each.id}: ${node.html} ${node.failureSummary}`))
  })
}

describe.skipIf(reason !== null)(`the widget in a browser${reason === null ? '' : ` (skipped: ${reason})`}`, () => {
  it('takes a message, shows the answer, and has both after a reload', async () => {
    const { page, faults } = await visit()
    await launcher(page).click()
    await page.getByRole('dialog', { name: 'Harbour Bikes' }).waitFor()
    await write(page, 'When do you open?')
    await answers(page).nth(1).waitFor()
    await page.locator('.own .meta', { hasText: 'Sent' }).waitFor()
    const before = await bubbles(page).allTextContents()
    expect(before).toHaveLength(3)
    expect(before[1]).toBe('You: When do you open?')
    await page.reload()
    await launcher(page).click()
    await answers(page).nth(1).waitFor()
    expect(await bubbles(page).allTextContents()).toEqual(before)
    expect(faults).toEqual([])
  })

  it('sends what was typed offline once and in order, also when the page was closed in between', async () => {
    const own = await chat()
    const { page, faults } = await visit(own)
    const context = page.context()
    await launcher(page).click()
    await write(page, 'zero')
    await answers(page).nth(1).waitFor()
    await context.setOffline(true)
    await page.getByText('You are offline').waitFor()
    for (const text of ['one', 'two', 'three']) await write(page, text)
    expect(await page.locator('.own.sending').count()).toBe(3)
    await page.close()
    await context.setOffline(false)
    const again = await context.newPage()
    await again.goto(`${town.apiUrl}/widget/demo?number=${own.id}`)
    await launcher(again).click()
    await again.locator('.own.tail .meta', { hasText: 'Sent' }).last().waitFor()
    await town.until("SELECT id FROM messages WHERE number_id = $1 AND direction = 'inbound'", [own.id], (rows) => rows.length === 4)
    await expect.poll(() => again.locator('.own .plain').allTextContents()).toEqual(['zero', 'one', 'two', 'three'])
    await expect.poll(() => again.locator('.own.sending').count()).toBe(0)
    expect(new Set((await inbound(own)).map((row) => row.provider_message_id)).size).toBe(4)
    expect(faults).toEqual([])
  })

  it('comes back after the line was cut, with what was said meanwhile', async () => {
    const own = await chat()
    const { page } = await visit(own)
    await launcher(page).click()
    await write(page, 'Hello')
    await answers(page).nth(1).waitFor()
    const [row] = await inbound(own)
    await page.context().setOffline(true)
    await page.getByText('You are offline').waitFor()
    await business.ok('POST', `/v1/conversations/${row!.conversation_id}/messages`, { content: { kind: 'text', text: 'Are you still there?' } })
    await page.context().setOffline(false)
    await page.getByText('Are you still there?').waitFor()
    expect(await page.getByText('Are you still there?').count()).toBe(1)
  })

  it('works by keyboard alone and gives the focus back', async () => {
    const { page } = await visit()
    const focused = () => page.evaluate<string>(`(({ activeElement: { shadowRoot, localName } }) => shadowRoot?.activeElement?.getAttribute('aria-label') ?? shadowRoot?.activeElement?.id ?? localName)(document)`)
    await launcher(page).waitFor()
    await page.keyboard.press('Tab')
    await page.keyboard.press('Tab')
    expect(await focused()).toBe('Open chat')
    await page.keyboard.press('Enter')
    await expect.poll(focused).toBe('text')
    await page.keyboard.type('Hello')
    await page.keyboard.press('Shift+Enter')
    await page.keyboard.type('there')
    await page.keyboard.press('Enter')
    await page.getByText('Hello\nthere').waitFor()
    const stops: string[] = []
    for (let index = 0; index < 12; index += 1) {
      await page.keyboard.press('Tab')
      stops.push(await focused())
    }
    // Round and round within the dialog: it never reaches the page or the launcher behind it.
    expect(stops).toContain('Close chat')
    expect(stops).toContain('Conversation')
    expect(stops).not.toContain('body')
    expect(stops).not.toContain('a')
    await page.keyboard.press('Shift+Tab')
    await page.keyboard.press('Escape')
    await expect.poll(focused).toBe('Open chat')
    expect(await page.getByRole('dialog').count()).toBe(0)
  })

  it('counts what came while it was closed, and forgets it when it is opened', async () => {
    const own = await chat()
    const { page } = await visit(own)
    await launcher(page).click()
    await write(page, 'Hello')
    await answers(page).nth(1).waitFor()
    await page.keyboard.press('Escape')
    const [row] = await inbound(own)
    await business.ok('POST', `/v1/conversations/${row!.conversation_id}/messages`, { content: { kind: 'text', text: 'One more thing' } })
    await page.getByRole('button', { name: 'Open chat (1 unread messages)' }).waitFor()
    await page.screenshot({ path: `${SHOTS}badge.png` })
    await page.reload()
    await page.getByRole('button', { name: 'Open chat (1 unread messages)' }).click()
    await page.keyboard.press('Escape')
    await page.getByRole('button', { name: 'Open chat', exact: true }).waitFor()
    const read = await town.until("SELECT 1 FROM messages WHERE number_id = $1 AND direction = 'outbound' AND status = 'read'", [own.id], (rows) => rows.length > 1)
    expect(read).toHaveLength(2)
  })

  it('shows every kind of content, and never as HTML', async () => {
    const own = await chat()
    const { page, faults } = await visit(own)
    await launcher(page).click()
    const attack = '<img src=x onerror="window.hacked=1"><script>window.hacked=2</script>'
    await write(page, attack)
    await answers(page).nth(1).waitFor()
    const [row] = await inbound(own)
    const say = (content: unknown) => business.ok('POST', `/v1/conversations/${row!.conversation_id}/messages`, { content })
    await say({ kind: 'text', text: `${attack}\n[click](javascript:window.hacked=3) [fine](https://example.com/a?b=1) **bold ${attack}**\n- one\n- \`two\`` })
    await say({ kind: 'buttons', text: `Which one? ${attack}`, buttons: [{ id: 'city', title: 'City bike' }, { id: 'cargo', title: attack.slice(0, 40) }] })
    await say({ kind: 'link', text: 'Our price list', label: 'Open prices', url: 'https://example.com/prices' })
    await say({ kind: 'list', text: 'Pick a time', button_label: 'Times', sections: [{ title: 'Monday', rows: [{ id: 'm9', title: '09:00', description: 'Workshop one' }] }] })
    await say({ kind: 'cards', cards: [{ title: 'Cargo bike', text: attack, buttons: [{ id: 'rent', title: 'Rent it' }] }] })
    await say({ kind: 'location', latitude: 54.3, longitude: 10.1, name: 'Workshop' })
    await say({ kind: 'contacts', contacts: [{ name: attack, phones: ['+49 431 555 01'], emails: ['a@example.com'], organisation: '' }] })
    await page.getByText('+49 431 555 01').waitFor()
    expect(await page.evaluate('window.hacked')).toBeUndefined()
    expect(await page.locator('.log script, .log img').count()).toBe(0)
    expect(await page.locator('.log a[href^="javascript"]').count()).toBe(0)
    const links = await page.locator('.log a').evaluateAll((all) => all.map((each) => [each.getAttribute('target'), each.getAttribute('rel')].join(' ')))
    expect(new Set(links)).toEqual(new Set(['_blank noopener noreferrer nofollow']))
    await page.screenshot({ path: `${SHOTS}content.png` })
    await page.getByRole('button', { name: 'Rent it' }).click()
    await page.locator('.own .plain', { hasText: 'Rent it' }).waitFor()
    expect(await page.getByRole('button', { name: 'City bike' }).isDisabled()).toBe(true)
    expect(faults).toEqual([])
  })

  it('asks before the chat what the number wants to know', async () => {
    const own = await chat({ pre_chat_fields: [{ name: 'name', label: 'Your name', type: 'text', required: true }, { name: 'email', label: 'E-mail', type: 'email', required: true }] })
    const { page, faults } = await visit(own)
    await launcher(page).click()
    await page.getByLabel('E-mail').fill('nobody')
    await page.getByRole('button', { name: 'Start chat' }).click()
    await page.getByText('Please enter an e-mail address.').waitFor()
    expect(await violations(page)).toEqual([])
    await page.screenshot({ path: `${SHOTS}questions.png` })
    await page.getByLabel('Your name').fill('Ada')
    await page.getByLabel('E-mail').fill('ada@example.com')
    await page.keyboard.press('Enter')
    await write(page, 'Hello')
    await answers(page).nth(1).waitFor()
    const [contact] = await town.rows<{ name: string }>('SELECT c.name FROM contacts c JOIN conversations v ON v.contact_id = c.id WHERE v.number_id = $1', [own.id])
    expect(contact).toEqual({ name: 'Ada' })
    expect(faults).toEqual([])
  })

  it('sends a picture and shows it', async () => {
    const { page, faults } = await visit(await chat())
    // The file and the line both want a session: two would be two visitors, and the one's file not the other's to send.
    let sessions = 0
    page.on('request', (request) => {
      if (request.method() === 'POST' && request.url().endsWith('/sessions')) sessions += 1
    })
    await launcher(page).click()
    await page.locator('input[type=file]').setInputFiles({ name: 'dot.png', mimeType: 'image/png', buffer: Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==', 'base64') })
    await page.locator('.own img').waitFor()
    await answers(page).nth(1).waitFor()
    expect(sessions).toBe(1)
    expect(await page.locator('.own img').evaluate((image: { naturalWidth?: number }) => image.naturalWidth)).toBe(1)
    await page.locator('input[type=file]').setInputFiles({ name: 'page.png', mimeType: 'image/png', buffer: Buffer.from('<script>alert(1)</script>') })
    await page.getByText('This kind of file cannot be sent.').waitFor()
    expect(faults.filter((fault) => !fault.includes('415'))).toEqual([])
  })

  it('goes on without sockets', async () => {
    const withoutSockets = async (page: Page) =>
      void (await page.addInitScript(() => {
        // A proxy that lets no upgrade through.
        class Refused extends EventTarget {
          readyState = 3
          onclose: ((event: { code: number }) => void) | null = null
          constructor() {
            super()
            setTimeout(() => this.onclose?.({ code: 1006 }), 1)
          }
          close(): void {}
        }
        ;Object.assign(globalThis, { WebSocket: Refused })
      }))
    const own = await chat()
    const { page, faults } = await visit(own, {}, withoutSockets)
    await launcher(page).click()
    for (const text of ['one', 'two']) await write(page, text)
    await answers(page).nth(1).waitFor()
    await expect.poll(async () => (await inbound(own)).length).toBe(2)
    await expect.poll(() => page.locator('.own .plain').allTextContents()).toEqual(['one', 'two'])
    expect(faults).toEqual([])
  })

  it('works on a page of another origin that is on the list, and leaves every other page alone', async () => {
    const shop = createServer((request, response) => {
      const body = `<!doctype html><html lang="en"><title>Shop</title><script src="${town.apiUrl}/widget.js" data-number="${request.url!.slice(1)}" async></script>`
      response.writeHead(200, { 'content-type': 'text/html' }).end(body)
    })
    shop.listen(0, '127.0.0.1')
    await once(shop, 'listening')
    closers.push(async () => void shop.close())
    const origin = `http://localhost:${(shop.address() as AddressInfo).port}`
    const own = await chat({ allowed_origins: [origin] })
    const { page } = await visit()
    await page.goto(`${origin}/${own.id}`)
    await launcher(page).click()
    await write(page, 'Hello from the shop')
    await answers(page).nth(1).waitFor()
    const refused = page.waitForResponse((response) => response.url().endsWith('/config'))
    await page.goto(`${origin}/${number.id}`)
    expect((await refused).status()).toBe(403)
    expect(await page.locator('[id^=trunkline]').count()).toBe(0)
  })

  it.each([
    ['de', 'Chat öffnen', 'Ihre Nachricht'],
    ['fr', 'Ouvrir le chat', 'Votre message'],
    ['pt-BR', 'Abrir o chat', 'A sua mensagem'],
    ['nl', 'Open chat', 'Your message'],
  ])('speaks the language of the page: %s', async (language, open, label) => {
    const { page, open: go } = await visit()
    await go(`&lang=${language}`)
    await page.getByRole('button', { name: open }).click()
    await page.getByLabel(label).waitFor()
    expect(await page.getByRole('dialog').getByRole('textbox').getAttribute('placeholder')).toBe(label)
  })

  it.each([
    ['light', {}],
    ['dark', {}],
    ['mobile', { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true }],
  ])('is accessible and looks right: %s', async (name, options) => {
    const own = await chat({ accent_colour: name === 'dark' ? '#f5b942' : '#0b5c6b' })
    const { page, open } = await visit(own, { colorScheme: name === 'dark' ? 'dark' : 'light', reducedMotion: 'reduce', ...options })
    await open()
    await launcher(page).waitFor()
    await page.screenshot({ path: `${SHOTS}${name}-closed.png` })
    await launcher(page).click()
    await write(page, 'Hi! Do you repair e-bikes, and what does an inspection cost?')
    await answers(page).nth(1).waitFor()
    const [row] = await inbound(own)
    await business.ok('POST', `/v1/conversations/${row!.conversation_id}/messages`, { content: { kind: 'buttons', text: 'We do! An **inspection** takes an hour. When would you like to come?', buttons: [{ id: 'a', title: 'Tomorrow at 9:00' }, { id: 'b', title: 'Friday at 14:30' }] } })
    await page.getByRole('button', { name: 'Friday at 14:30' }).waitFor()
    expect(await violations(page)).toEqual([])
    await page.screenshot({ path: `${SHOTS}${name}.png` })
  })
})
