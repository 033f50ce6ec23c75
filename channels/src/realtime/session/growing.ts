import type { Item, Response } from './state.ts'

/** The responses with this item in place of its former self. */
export function growInto(responses: readonly Response[], item: Item): Response[] {
  return responses.map((response) => {
    const index = response.output.findIndex((output) => output.item.id === item.id)
    const output = response.output[index]
    return output ? { ...response, output: response.output.with(index, { ...output, item }) } : response
  })
}
