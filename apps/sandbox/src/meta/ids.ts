import { randomBytes } from 'node:crypto'

/** Differs between two starts of the sandbox, so that ids never repeat over restarts. */
const run = randomBytes(6).toString('hex').toUpperCase()
let counter = 0

const next = () => (++counter).toString(16).toUpperCase().padStart(10, '0')

/** Looks like Meta's: `wamid.` + base64 text. */
export const newWamid = (): string => `wamid.HBgLSANDBOX${run}${next()}AA==`
export const newMid = (): string => `aWdfZAG1faXRlbToxSANDBOX${run}${next()}ZD`
export const newMediaId = (): string => String(Date.now()) + String(++counter).padStart(6, '0')
