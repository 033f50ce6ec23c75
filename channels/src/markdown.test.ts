import { describe, expect, it } from 'vitest'
import { toPlain, toWhatsApp } from './markdown.ts'

describe('markdown for a channel', () => {
  it.each([
    ['**bold** and __bold__', '*bold* and *bold*', 'bold and bold'],
    ['*italic* and _italic_', '_italic_ and _italic_', 'italic and italic'],
    ['***both***', '*_both_*', 'both'],
    ['**a *b* c**', '*a _b_ c*', 'a b c'],
    ['~~gone~~', '~gone~', 'gone'],
    ['`a*b*c`', '`a*b*c`', 'a*b*c'],
    ['# Title', '*Title*', 'Title'],
    ['### Title **x** ###', '*Title x*', 'Title x'],
    ['* one\n+ two\n- three', '- one\n- two\n- three', '- one\n- two\n- three'],
    ['[our shop](https://shop.example.com/a)', 'our shop (https://shop.example.com/a)', 'our shop (https://shop.example.com/a)'],
    ['[https://a.example](https://a.example)', 'https://a.example', 'https://a.example'],
    ['![a chair](https://a.example/c.png)', 'a chair: https://a.example/c.png', 'a chair: https://a.example/c.png'],
    ['```js\nlet *a* = 1\n```', '```\nlet *a* = 1\n```', 'let *a* = 1'],
    ['\\*not italic\\*', '*not italic*', '*not italic*'],
    ['2 * 3 * 4 and snake_case_name', '2 * 3 * 4 and snake_case_name', '2 * 3 * 4 and snake_case_name'],
    ['https://a.example/x_y_z', 'https://a.example/x_y_z', 'https://a.example/x_y_z'],
    ['no marks at all', 'no marks at all', 'no marks at all'],
  ])('%j', (markdown, whatsapp, plain) => {
    expect(toWhatsApp(markdown)).toBe(whatsapp)
    expect(toPlain(markdown)).toBe(plain)
  })

  it('ignores the marks it works with when they come in a text', () => {
    expect(toWhatsApp('\uE0000\uE000 **b**')).toBe('0 *b*')
  })
})
