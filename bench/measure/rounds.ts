/**
 * Runs every contender once per round, and turns the order round by round: what the machine does besides then falls on all of
 * them alike, and nobody is always the one that comes after the heaviest.
 */
export async function interleave<Name extends string, Result>(
  contenders: Readonly<Record<Name, (round: number) => Promise<Result>>>,
  rounds: number,
): Promise<Record<Name, Result[]>> {
  const names = Object.keys(contenders) as Name[]
  const results = Object.fromEntries(names.map((name) => [name, [] as Result[]])) as Record<Name, Result[]>
  for (let round = 0; round < rounds; round++) {
    for (const name of turned(names, round)) results[name].push(await contenders[name](round))
  }
  return results
}

export const turned = <T>(list: readonly T[], by: number): T[] => list.map((_, index) => list[(index + by) % list.length]!)
