/** Names that a person may have meant by one that does not exist. */

const longestCompared = 80
const mostCompared = 2000

/** The three names with the smallest edit distance. Long names are compared by their beginnings, of very many the first. */
export function nearestNames(name: string, names: readonly string[]): string[] {
  const short = name.slice(0, longestCompared)
  return names
    .slice(0, mostCompared)
    .map((candidate) => ({ candidate, distance: editDistance(short, candidate.slice(0, longestCompared)) }))
    .sort((a, b) => a.distance - b.distance)
    .slice(0, 3)
    .map(({ candidate }) => candidate)
}

/** Levenshtein distance. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++)
      next.push(Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1)))
    row = next
  }
  return row[b.length]
}
