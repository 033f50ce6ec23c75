import { AppError, contentAsText, type OutboundContent, type RenderContext, type Rendered } from '@trunkline/core'
import { isBlank, Rendering, tidy } from '../rendering.ts'

/** The widget shows everything we have words for, Markdown included; only templates mean nothing there. */

export function render(given: OutboundContent, context: RenderContext): Rendered {
  if (context.to.kind !== 'visitor' || !/^[\w-]{1,128}$/.test(context.to.value)) throw new AppError('invalid_request', { message: 'Web chat reaches a visitor.', param: 'to' })
  if (given.kind === 'template') throw new AppError('invalid_request', { message: 'Web chat has no message templates.', param: 'content.kind' })
  const content = tidy(given)
  const rendering = new Rendering()
  const isNothing = (content.kind === 'text' && isBlank(content.text)) || (content.kind === 'contacts' && content.contacts.length === 0)
  if (isNothing) rendering.degrade(content.kind, 'nothing', 'there is nothing to see in it')
  else rendering.add(content.kind, { visitor_id: context.to.value, content, ...(context.replyTo && { reply_to: context.replyTo }) }, contentAsText(content).trim() || `[${content.kind}]`)
  return { requests: rendering.requests, degradations: rendering.degradations }
}
