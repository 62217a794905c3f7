/**
 * SentencePiece BPE stores scores instead of merges. Two neighbours may be joined if the joined piece exists, the
 * highest score first: that is a BPE whose merges are all splits of each piece, by falling score (the conversion of
 * Hugging Face transformers).
 */

interface Merge {
  left: string
  right: string
  score: number
  lengths: [number, number]
}

/**
 * @param pieces pieces that may come of a merge, with their scores
 * @param vocab every piece that may take part
 * @returns ids [left, right, merged] by rank
 */
export function mergesFromScores(
  pieces: Iterable<readonly [piece: string, score: number]>,
  vocab: ReadonlyMap<string, number>,
): Int32Array {
  const merges: Merge[] = []
  for (const [piece, score] of pieces) {
    const characters = Array.from(piece)
    const splits: Merge[] = []
    for (
      let cut = 1, at = characters[0]?.length ?? 0;
      cut < characters.length;
      at += characters[cut++].length
    ) {
      const left = piece.slice(0, at)
      const right = piece.slice(at)
      if (vocab.has(left) && vocab.has(right))
        splits.push({ left, right, score, lengths: [cut, characters.length - cut] })
    }
    splits.sort(
      (a, b) => vocab.get(a.left)! - vocab.get(b.left)! || vocab.get(a.right)! - vocab.get(b.right)!,
    )
    merges.push(...splits)
  }
  merges.sort((a, b) => b.score - a.score || b.lengths[0] - a.lengths[0] || b.lengths[1] - a.lengths[1])
  return Int32Array.from(
    merges.flatMap(({ left, right }) => [vocab.get(left)!, vocab.get(right)!, vocab.get(left + right)!]),
  )
}
