/** The thread that computes UMAP (McInnes et al. 2018) with umap-js: seconds of work that can only be ended from outside. */
import { UMAP } from 'umap-js'
import { SeededRandom } from '../../training/random'
import { serve } from '../thread/serve'
import type { UmapCalls } from './umap-protocol'

/** Share of the work that finding neighbours and the graph is, about. */
const PREPARING = 0.3

serve<UmapCalls>({
  umap: ({ points, width, neighbours, minDistance, seed }, progress) => {
    const random = new SeededRandom(seed | 0)
    const rows = points.length / width
    const umap = new UMAP({
      nComponents: 2,
      nNeighbors: Math.min(neighbours, rows - 1),
      minDist: minDistance,
      random: () => random.float(),
    })
    const vectors = Array.from({ length: rows }, (_, row) =>
      Array.from(points.subarray(row * width, (row + 1) * width)),
    )
    const epochs = umap.initializeFit(vectors)
    for (let epoch = 0; epoch < epochs; epoch++) {
      umap.step()
      if (epoch % 10 === 0) progress(PREPARING + ((1 - PREPARING) * epoch) / epochs)
    }
    return Float32Array.from(umap.getEmbedding().flat())
  },
})
