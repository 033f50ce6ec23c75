/**
 * Pages of any origin may ask, and are answered by the number's own list of origins (chat.ts): credentials are a token in a
 * header, never a cookie, so CORS protects nothing here that the list does not.
 */
export const isVisitorPath = (url: string): boolean => url.startsWith('/v1/webchat/') || url.startsWith('/widget')
