import { describe, expect, it } from 'vitest'
import { importLegacyPrompt } from './legacy-prompt.ts'

const defaults = { model: 'gpt-default', promptId: 'pmpt_abc' }

describe('import of a pmpt_ object', () => {
  it('takes plain text as instructions', () => {
    const { content } = importLegacyPrompt('  Be kind to {{who}}. ', defaults)
    expect(content).toMatchObject({ instructions: 'Be kind to {{who}}.', model: 'gpt-default', vendor: 'openai', legacyPrompt: { id: 'pmpt_abc' } })
  })

  it('takes the echo of a Response', () => {
    const response = {
      id: 'resp_1',
      object: 'response',
      model: 'gpt-5.1',
      temperature: 0.4,
      max_output_tokens: 500,
      prompt: { id: 'pmpt_xyz', version: '3', variables: { city: 'Bonn', picture: { type: 'input_image' } } },
      instructions: [
        { type: 'message', role: 'developer', content: [{ type: 'input_text', text: 'You work in {{city}} for {{boss}}.' }] },
        { type: 'message', role: 'user', content: [{ type: 'input_text', text: 'an example' }] },
      ],
      tools: [{ type: 'function', name: 'find' }, { type: 'web_search' }],
    }
    const { content, notes } = importLegacyPrompt(JSON.stringify(response), defaults)
    expect(content).toMatchObject({ instructions: 'You work in {{city}} for {{boss}}.', model: 'gpt-5.1', temperature: 0.4, maxOutputTokens: 500, variables: { city: 'Bonn', boss: '' }, legacyPrompt: { id: 'pmpt_xyz', version: '3' } })
    expect(notes).toHaveLength(4)
  })

  it('takes request code with messages', () => {
    expect(importLegacyPrompt(JSON.stringify({ model: 'm', messages: [{ role: 'system', content: 'A' }, { role: 'developer', content: 'B' }] }), defaults).content.instructions).toBe('A\n\nB')
  })

  it('says what is missing', () => {
    const codeOf = (text: string) => {
      try {
        importLegacyPrompt(text, defaults)
        return 'fine'
      } catch (error) {
        return (error as { code: string }).code
      }
    }
    expect(codeOf('')).toBe('invalid_request')
    expect(codeOf('{"a":')).toBe('invalid_json')
    expect(codeOf('{"model":"m","input":"only a question"}')).toBe('invalid_request')
    expect(codeOf('x'.repeat(1_000_001))).toBe('payload_too_large')
    expect(codeOf('x'.repeat(200_000))).toBe('invalid_request')
  })
})
