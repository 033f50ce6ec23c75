/** Numbers that nobody owns: of the range that is kept for fiction (555-01xx) under any area code, always the same ones. */
export function forSale({ areaCode, contains }: { areaCode?: string; contains?: string }, limit: number): string[] {
  const areas = areaCode === undefined ? ['213', '415', '646', '312', '305', '702', '206', '512', '617', '404'] : [areaCode.padEnd(3, '0').slice(0, 3)]
  const pattern = contains === undefined ? null : new RegExp(contains.replaceAll(/[^\d*]/g, '').replaceAll('*', '\\d'))
  const all = areas.flatMap((area) => Array.from({ length: 100 }, (_, index) => `+1${area}55501${String(index).padStart(2, '0')}`))
  return all.filter((number) => pattern === null || pattern.test(number)).slice(0, limit)
}
