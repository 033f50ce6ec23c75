import { describe, expect, it } from 'vitest'
import { figureOf, lineOf, verdictOf } from './figure.ts'

const rate = (value: number, over: object = {}) => figureOf('b', { figure: 'rate', value, unit: 'x/s', better: 'higher', ...over })

describe('a figure', () => {
  it('with a baseline is judged by the ratio', () => {
    const figure = rate(300, { baseline: { name: 'bare', value: 200 }, floor: 1.5 })
    expect(figure.ratio).toBe(1.5)
    expect(verdictOf(figure)).toBe('floor')
    expect(verdictOf(rate(299, { baseline: { name: 'bare', value: 200 }, floor: 1.5 }))).toBe('below')
  })

  it('without one by its value, towards the side that is better', () => {
    expect(verdictOf(rate(300, { floor: 300, goal: 1_667 }))).toBe('floor')
    expect(verdictOf(rate(1_700, { floor: 300, goal: 1_667 }))).toBe('goal')
    expect(verdictOf(figureOf('b', { figure: 'lost', value: 1, unit: '', better: 'lower', floor: 0 }))).toBe('below')
    expect(verdictOf(rate(5))).toBe('open')
  })

  it('is one line of JSON with the agreed keys in the agreed order', () => {
    expect(lineOf(rate(300, { baseline: { name: 'bare', value: 200 }, floor: 1.5 }))).toBe(
      '{"bench":"b","figure":"rate","value":300,"unit":"x/s","better":"higher","baseline":"bare: 200 x/s","ratio":1.5,"floor":1.5,"goal":null}',
    )
  })
})
