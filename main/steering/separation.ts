/** How well one number tells two groups apart. */

/**
 * Area under the ROC curve: the probability that a positive scores higher than a negative, ties counted half
 * (Mann–Whitney U / n₊n₋; Hanley and McNeil 1982). NaN where a group is empty.
 */
export function auc(positive: readonly number[], negative: readonly number[]): number {
  const all = [
    ...positive.map((score) => ({ score, positive: true })),
    ...negative.map((score) => ({ score, positive: false })),
  ].sort((a, b) => a.score - b.score)
  let wins = 0
  let negativesBelow = 0
  for (let start = 0; start < all.length;) {
    let end = start
    while (end < all.length && all[end].score === all[start].score) end++
    const tied = all.slice(start, end)
    const positives = tied.filter((item) => item.positive).length
    const negatives = tied.length - positives
    wins += positives * (negativesBelow + negatives / 2)
    negativesBelow += negatives
    start = end
  }
  return wins / (positive.length * negative.length)
}

/** Share of pairs whose positive side scores strictly higher. */
export const pairedAccuracy = (positive: readonly number[], negative: readonly number[]): number =>
  positive.filter((score, i) => score > negative[i]).length / positive.length
