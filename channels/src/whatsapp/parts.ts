import type { CloudAPIReplyButton, CloudAPISendInteractiveCTAURLRequest } from '@whatsapp-cloudapi/types/cloudapi'
import { webUrl } from '../json.ts'
import { allFit } from '../rendering.ts'
import { LIMITS } from './wire.ts'

/** Pieces of interactive messages that more than one kind of content uses. */

export function replyButtons(buttons: { id: string; title: string }[]): CloudAPIReplyButton[] {
  return buttons.map(({ id, title }) => ({ type: 'reply', reply: { id, title } }))
}

/** A button that opens an address, or null when the platform would refuse it. */
export function linkButton(label: string, url: string): CloudAPISendInteractiveCTAURLRequest['interactive']['action'] | null {
  const address = webUrl(url)
  if (!address || address.length > LIMITS.url || !allFit([label], LIMITS.buttonTitle)) return null
  return { name: 'cta_url', parameters: { display_text: label, url: address } }
}
